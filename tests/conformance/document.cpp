#include "tests/conformance/document.h"
