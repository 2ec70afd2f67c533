// Is report.json valid, versioned, stable, and does each metric have a unit?
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "sample.h"

using namespace spillway;
using nlohmann::json;

TEST_CASE("report.json parses, is versioned and carries its context", "[reports][json]") {
  const json parsed = json::parse(reports::to_json(test::sample_report()));
  CHECK(parsed.at("schema_version") == reports::kSchemaVersion);
  CHECK(parsed.at("context").at("command") == "spillway profile sample");
  CHECK(parsed.at("context").at("precision").at("weight") == "int8");
  CHECK(parsed.at("graphs").size() == 1);
  CHECK(parsed.at("pipeline").is_null());
}

TEST_CASE("every definition has a unit and a text, and the graph's metrics are defined", "[reports][json]") {
  const json parsed = json::parse(reports::to_json(test::sample_report()));
  const json& definitions = parsed.at("definitions");
  CHECK(definitions.size() > 20);
  for (const auto& [name, definition] : definitions.items()) {
    INFO(name);
    CHECK_FALSE(definition.at("unit").get<std::string>().empty());
    CHECK_FALSE(definition.at("definition").get<std::string>().empty());
  }
  // Names, not metrics.
  const std::vector<std::string> plain = {"model",    "files",     "batch",   "inputs", "outputs",
                                          "strategy", "objective", "engines", "groups", "notes"};
  for (const auto& [name, value] : parsed.at("graphs")[0].items()) {
    if (std::find(plain.begin(), plain.end(), name) != plain.end()) continue;
    INFO(name);
    CHECK(definitions.contains(name));
  }
}

TEST_CASE("parts in report.json add up", "[reports][json]") {
  const json graph = json::parse(reports::to_json(test::sample_report())).at("graphs")[0];
  std::int64_t bound = 0, moves = 0, critical = 0;
  for (const auto& [cause, cycles] : graph.at("bound_by_cycles").items()) bound += cycles.get<std::int64_t>();
  CHECK(bound == graph.at("latency_cycles").get<std::int64_t>());
  for (const auto& [name, part] : graph.at("moves").items()) {
    if (name != "total") moves += part.at("bytes").get<std::int64_t>();
  }
  CHECK(moves == graph.at("moves").at("total").at("bytes").get<std::int64_t>());
  for (const auto& group : graph.at("groups")) critical += group.at("critical_cycles").get<std::int64_t>();
  CHECK(critical == graph.at("latency_cycles").get<std::int64_t>());
  for (const auto& engine : graph.at("engines")) {
    std::int64_t cycles = engine.at("busy_cycles").get<std::int64_t>();
    for (const auto& [cause, waiting] : engine.at("waiting_cycles").items()) cycles += waiting.get<std::int64_t>();
    CHECK(cycles == graph.at("latency_cycles").get<std::int64_t>());
  }
}

TEST_CASE("names survive JSON, and bytes that are not UTF-8 do not break it", "[reports][json]") {
  auto report = test::sample_report();
  CHECK(json::parse(reports::to_json(report)).at("graphs")[0].at("groups")[0].at("name") == test::kAwkwardName);
  report.graphs[0].plan.groups[1].name = "bad\xff\xfe name";
  CHECK_NOTHROW(json::parse(reports::to_json(report)));
}

TEST_CASE("the same report gives the same bytes", "[reports][json]") {
  CHECK(reports::to_json(test::sample_report()) == reports::to_json(test::sample_report()));
}

TEST_CASE("simulation time on the host is no part of the report", "[reports][json]") {
  auto report = test::sample_report();
  const std::string before = reports::to_json(report);
  report.graphs[0].result.host_seconds = 12.5;
  CHECK(reports::to_json(report) == before);
}
