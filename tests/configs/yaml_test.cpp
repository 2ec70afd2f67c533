#include <string>

#include "configs/yaml_reader.h"
#include "tests/configs/expect_error.h"

namespace spillway::configs {
namespace {

std::string refused(const std::string& text) {
  return test::message_of([&] { (void)read_yaml(text, "f.yaml"); });
}

TEST_CASE("YAML that is not nested maps of values is refused with its line", "[configs][yaml]") {
  CHECK(refused("") == "f.yaml: holds no keys");
  CHECK(refused("# only a comment\n") == "f.yaml: holds no keys");
  CHECK(refused("{}") == "f.yaml:1: holds no keys");
  CHECK(refused("a: {}") == "f.yaml:1: a: holds no keys");
  CHECK(refused("just text") == "f.yaml:1: 'just text' stands alone when 'key: value' is expected");
  CHECK(refused("- 1\n- 2\n").starts_with("f.yaml:1: a list stands"));
  CHECK(refused("a: 1\nb: [1, 2]\n") == "f.yaml:2: b: a list stands where one value is expected");
  CHECK(refused("a: 1\nb:\n").find("b: has no value") != std::string::npos);
  CHECK(refused("a: ~\n") == "f.yaml:1: a: has no value");
  CHECK(refused("a: 1\nb: 2\na: 3\n") == "f.yaml:3: a: is given twice, first in line 1");
  CHECK(refused("a:\n  b: 1\na.b: 2\n") == "f.yaml:3: a.b: is given twice, first in line 2");
  CHECK(refused("a: 1\n---\nb: 2\n").find("second YAML document") != std::string::npos);
  CHECK(refused("a: !!int 5\n").find("tag") != std::string::npos);
  CHECK(refused("? {x: 1}\n: 2\n").find("a map stands where a key is expected") != std::string::npos);
  CHECK(refused("a: 1\n  b: 2\n").starts_with("f.yaml:2: is not valid YAML"));
  CHECK(refused(std::string("a: 1\0", 5)).find("zero byte") != std::string::npos);
}

TEST_CASE("aliases, deep nesting and huge texts are refused", "[configs][yaml]") {
  CHECK(refused("a: &x 1\nb: *x\n") == "f.yaml:1: a: YAML anchors are not used in configs");
  // the "billion laughs" of YAML stops at its first anchor
  CHECK(refused("a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]\n").starts_with("f.yaml:1:"));
  CHECK(refused("a: &m {x: 1}\nb: {<<: *m}\n").find("anchors") != std::string::npos);
  std::string deep;
  for (int i = 0; i < 100; ++i) deep += std::string(i, ' ') + "k:\n";
  CHECK(refused(deep + std::string(100, ' ') + "v: 1\n").find("nested deeper than") != std::string::npos);
  CHECK_THROWS_AS(read_yaml(std::string(100000, '['), "f.yaml"), Error);
  CHECK_THROWS_AS(read_yaml(std::string(100000, '{'), "f.yaml"), Error);
  CHECK_THROWS_AS(read_yaml("a: " + std::string(100000, '{'), "f.yaml"), Error);
  CHECK(refused("a: " + std::string(300 << 10, 'x')).find("when a config has at most") != std::string::npos);
  CHECK(refused(std::string(1000, 'k') + ": 1\n").find("is not a key") != std::string::npos);
}

TEST_CASE("keys come out dotted, in order, with lines", "[configs][yaml]") {
  const auto entries = read_yaml("# c\na: 1\nb:\n  c: 8MiB  # size\n  d: {e: 'x y', f: 2}\n", "f.yaml");
  REQUIRE(entries.size() == 4);
  CHECK(entries[0].key == "a");
  CHECK(entries[0].line == 2);
  CHECK(entries[1].key == "b.c");
  CHECK(entries[1].value == "8MiB");
  CHECK(entries[1].line == 4);
  CHECK(entries[2].key == "b.d.e");
  CHECK(entries[2].value == "x y");
  CHECK(entries[3].key == "b.d.f");
}

}  // namespace
}  // namespace spillway::configs
