// Does `partition --explain` say why, for every group and every tensor that goes through DRAM?
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <sstream>

#include "program.h"

using nlohmann::json;
using spillway::test::contains;
using spillway::test::Ran;
using spillway::test::Workplace;

namespace {

json explained(const Workplace& place, const std::string& arguments) {
  const Ran ran = place.run("partition " + arguments + " --format json");
  INFO(ran.err);
  REQUIRE(ran.code == 0);
  return json::parse(ran.out).at("graphs")[0];
}

std::int64_t sum(const json& shares) {
  std::int64_t total = 0;
  for (const auto& [name, cycles] : shares.items()) total += cycles.get<std::int64_t>();
  return total;
}

}  // namespace

TEST_CASE("explaining a group that is not there is refused", "[cli][explain]") {
  const Workplace place;
  const Ran number = place.run("partition sd-tiny/vae_decoder --explain-group 9999");
  CHECK(number.code == 2);
  CHECK(contains(number.err, "--explain-group: there is no group 9999, the plan has "));
  CHECK(contains(number.err, "  help: 0 to "));
  const Ran name = place.run("partition sd-tiny/vae_decoder --explain-group conv_inn/Conv");
  CHECK(name.code == 2);
  CHECK(contains(name.err, "no group's name contains 'conv_inn/Conv'"));
  CHECK(contains(name.err, "  help: "));
  CHECK(place.run("partition sd-tiny/vae_decoder --explain-group -1").code == 2);
}

TEST_CASE("explain tells of every group and of the whole with more scratchpad", "[cli][explain]") {
  const Workplace place;
  const json plan = explained(place, "sd-tiny/unet --sram 64KiB --explain");
  const json& why = plan.at("explanation");
  REQUIRE(why.at("groups").size() == plan.at("groups").size());
  std::int64_t cycles = 0;
  for (const json& group : why.at("groups")) {
    CHECK(sum(group.at("cycles_by")) == group.at("predicted_cycles"));
    cycles += group.at("predicted_cycles").get<std::int64_t>();
    CHECK_FALSE(group.at("ends").at("text").get<std::string>().empty());
  }
  CHECK(sum(why.at("cycles_by")) == plan.at("predicted_cycles"));
  CHECK(cycles == plan.at("predicted_cycles"));
  CHECK(why.at("groups").back().at("ends").at("why") == "end of the graph");
  // Planned anew with a MiB more: what partition says of that size.
  const json& more = why.at("planned_with_more");
  const json larger = explained(place, "sd-tiny/unet --sram 1088KiB");
  CHECK(more.at("difference").at("cycles") ==
        larger.at("predicted_cycles").get<std::int64_t>() - plan.at("predicted_cycles").get<std::int64_t>());
  CHECK(more.at("difference").at("moved_bytes") ==
        larger.at("moved_bytes").get<std::int64_t>() - plan.at("moved_bytes").get<std::int64_t>());
  CHECK(more.at("groups") == larger.at("groups").size());
}

TEST_CASE("explain keeps to the screen, and a group in depth has its neighbours' reasons", "[cli][explain]") {
  const Workplace place;
  const Ran all = place.run("partition sd-tiny/unet --sram 24KiB --explain");
  REQUIRE(all.code == 0);
  for (const char* part : {"cycles by", "groups end", "+ 1 MiB", "next best: ", "bound by ",
                           "ends: with 1: ", "statistics are complete only after"}) {
    INFO(part);
    CHECK(contains(all.out, part));
  }
  std::istringstream lines(all.out);
  for (std::string line; std::getline(lines, line);) {
    INFO(line);
    CHECK(line.size() <= 120);
  }
  const Ran one = place.run("partition sd-tiny/unet --sram 24KiB --explain-group 2");
  REQUIRE(one.code == 0);
  for (const char* part :
       {"group 2: ", "begins     1 ends before it: with ", "ends       with 3: ", "next best", "+ 1 MiB"}) {
    INFO(part);
    CHECK(contains(one.out, part));
  }
  CHECK_FALSE(contains(one.out, "planned anew"));
}

TEST_CASE("what is spilled says why it is not made again", "[cli][explain]") {
  const Workplace place;
  const json told = explained(place, "sd-tiny/vae_decoder --sram 24KiB --explain").at("explanation");
  REQUIRE_FALSE(told.at("tensors").empty());
  for (const json& tensor : told.at("tensors")) {
    CHECK_FALSE(tensor.at("text").get<std::string>().empty());
    CHECK(tensor.at("saved_bytes").get<std::int64_t>() > 0);
  }
  // A loaded plan is explained as well as a fresh one.
  REQUIRE(place.run("partition sd-tiny/vae_decoder --sram 24KiB --save-plan a.plan.json").code == 0);
  CHECK(explained(place, "sd-tiny/vae_decoder --sram 24KiB --plan a.plan.json --explain").at("explanation") == told);
}
