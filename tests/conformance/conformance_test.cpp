// Does the reference executor compute what ONNX says? ONNX's own node tests are the truth.
#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <sstream>

#include "tests/conformance/document.h"

namespace spillway::workloads::test {

namespace {

const std::string kCases = SPILLWAY_NODE_TESTS "/node";
const std::string kNotRun = SPILLWAY_SOURCE_DIR "/tests/conformance/not_run.txt";
const std::string kDocument = SPILLWAY_SOURCE_DIR "/docs/operators.md";

std::map<std::string, Outcome> run_all() {
  std::map<std::string, Outcome> outcomes;
  for (const auto& name : node_cases(kCases)) outcomes[name] = run_case(kCases, name);
  if (outcomes.empty()) {
    WARN("skipped: no node tests; install python3-onnx and run scripts/onnx-node-tests " SPILLWAY_NODE_TESTS);
  }
  return outcomes;
}

}  // namespace

TEST_CASE("every node test of ONNX passes except those listed", "[conformance]") {
  const auto outcomes = run_all();
  if (outcomes.empty()) return;
  const auto listed = not_run(kNotRun);
  std::size_t passed = 0;
  for (const auto& [name, outcome] : outcomes) {
    passed += outcome.trouble.empty() ? 1 : 0;
    const auto reason = listed.find(name);
    if (reason == listed.end()) {
      INFO(name << ": " << outcome.trouble);
      CHECK(outcome.trouble.empty());
    } else {
      INFO(name << " passes although not_run.txt lists it: " << reason->second);
      CHECK_FALSE(outcome.trouble.empty());
    }
    INFO(name);
    CHECK(outcome.trouble.find("internal error") == std::string::npos);
  }
  for (const auto& [name, reason] : listed) {
    INFO(name << " is listed in not_run.txt but there is no such case");
    CHECK(outcomes.contains(name));
  }
  std::cout << passed << " of " << outcomes.size() << " node tests pass\n";
  CHECK(passed >= 650);
}

TEST_CASE("docs/operators.md is what the node tests and the operator table say", "[conformance]") {
  const auto outcomes = run_all();
  if (outcomes.empty()) return;
  const std::string document = operators_document(outcomes, not_run(kNotRun));
  CHECK(document.find("| ? |") == std::string::npos);  // an operator that neither the schemas nor our table know
  if (std::getenv("SPILLWAY_WRITE_DOCUMENT") != nullptr) std::ofstream(kDocument) << document;
  std::ostringstream written;
  written << std::ifstream(kDocument).rdbuf();
  INFO("run scripts/operators-document and commit docs/operators.md");
  CHECK(written.str() == document);
}

}  // namespace spillway::workloads::test
