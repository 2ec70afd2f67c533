// Saved plans as a user has them: --save-plan, --plan and compare, what goes wrong and the exit codes.
#include <algorithm>
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "program.h"

using nlohmann::json;
using spillway::test::contains;
using spillway::test::Ran;
using spillway::test::Workplace;

namespace {

/// Exit code 2, nothing on stdout, one message with help.
void check_bad_input(const Ran& ran, const std::string& message) {
  INFO("stderr: " << ran.err << "stdout: " << ran.out);
  CHECK(ran.code == 2);
  CHECK(ran.out.empty());
  CHECK(ran.err.starts_with("error: "));
  CHECK(contains(ran.err, message));
  CHECK(contains(ran.err, "\n  help: "));
}

}  // namespace

TEST_CASE("a saved plan partitions and profiles as the plan that was saved", "[cli][plan-files]") {
  const Workplace place;
  const Ran planned = place.run("partition sd-tiny/unet --save-plan unet.json");
  REQUIRE(planned.code == 0);
  CHECK(place.files() == std::vector<std::string>{"unet.json"});
  CHECK(place.run("partition sd-tiny/unet --plan unet.json --check").out.starts_with(planned.out));
  const json a = json::parse(place.run("profile sd-tiny/unet --no-sensitivity --format json --out a").out);
  const json b = json::parse(place.run("profile sd-tiny/unet --plan unet.json --format json --out b").out);
  CHECK(a["graphs"][0] == b["graphs"][0]);
  // Saving what was loaded writes the same file.
  REQUIRE(place.run("profile sd-tiny/unet --plan unet.json --save-plan again.json --out c").code == 0);
  CHECK(place.read("again.json") == place.read("unet.json"));
  const Ran dry = place.run("profile sd-tiny/unet --plan unet.json --dry-run");
  CHECK(dry.code == 0);
  CHECK(dry.out == place.run("profile sd-tiny/unet --dry-run").out);
}

TEST_CASE("the strategy of a saved plan is its own", "[cli][plan-files]") {
  const Workplace place;
  REQUIRE(place.run("partition sd-tiny/unet --strategy layer-by-layer --save-plan lbl.json").code == 0);
  CHECK(contains(place.run("partition sd-tiny/unet --plan lbl.json").out, "layer-by-layer"));
  check_bad_input(place.run("partition sd-tiny/unet --plan lbl.json --strategy fused"),
                  "--strategy says how to plan, and --plan gives a plan");
  check_bad_input(place.run("profile sd-tiny/unet --objective moves --plan lbl.json"), "--objective says how to plan");
}

TEST_CASE("a pipeline's plans are a folder", "[cli][plan-files]") {
  const Workplace place;
  REQUIRE(place.run("partition sd-tiny --save-plan plans/all").code == 0);
  const std::vector<std::string> files{"plans/all/text_encoder.plan.json", "plans/all/unet.plan.json",
                                       "plans/all/vae_decoder.plan.json", "plans/all/vae_encoder.plan.json"};
  CHECK(place.files() == files);
  CHECK(place.run("partition sd-tiny --plan plans/all").out == place.run("partition sd-tiny").out);
  check_bad_input(place.run("partition sd-tiny --plan plans/all/unet.plan.json"),
                  "is a file, and the target has several");
  check_bad_input(place.run("partition sd-tiny/unet --plan plans/all"), "plans/all: is a folder");
  check_bad_input(place.run("partition sd-tiny/unet --save-plan plans/all"), "plans/all: is a folder");
  CHECK(place.files() == files);
}

TEST_CASE("a plan that is not for this run is refused", "[cli][plan-files]") {
  const Workplace place;
  REQUIRE(place.run("partition sd-tiny/unet --save-plan unet.json").code == 0);
  check_bad_input(place.run("partition sd-tiny/vae_decoder --plan unet.json"),
                  "unet.json: graph: the plan is for 'sd-tiny");
  check_bad_input(place.run("partition sd-tiny/unet --batch 3 --plan unet.json"), "unet.json: graph: ");
  check_bad_input(place.run("profile sd-tiny/unet --sram 4MiB --plan unet.json"),
                  "unet.json: npu.config.scratchpad.size: the plan is for 8MiB and this config has 4MiB");
  check_bad_input(place.run("partition sd-tiny/unet --plan absent.json"), "absent.json: no such file");
  const std::string text = place.read("unet.json");
  place.write("cut.json", text.substr(0, text.size() / 2));
  check_bad_input(place.run("partition sd-tiny/unet --plan cut.json"), "cut off");
  place.write("report.json", "{\"schema_version\": 1}");
  check_bad_input(place.run("partition sd-tiny/unet --plan report.json"), "report.json: the key 'format' is missing");
  check_bad_input(place.run("profile sd-tiny/unet --dry-run --save-plan x.json"), "--dry-run writes nothing");
  check_bad_input(place.run("profile sd-tiny/unet --save-plan unet.json/x.json"), "unet.json");
  CHECK(place.files() == std::vector<std::string>{"cut.json", "report.json", "unet.json"});
}

TEST_CASE("two equal plans are equal in one line", "[cli][compare]") {
  const Workplace place;
  REQUIRE(place.run("partition sd-tiny/unet --save-plan a.json").code == 0);
  REQUIRE(place.run("partition sd-tiny/unet --save-plan b.json").code == 0);
  const Ran ran = place.run("compare a.json b.json --fail-above 0");
  CHECK(ran.code == 0);
  CHECK(ran.err.empty());
  CHECK(ran.out.starts_with("equal: a.json and b.json are the same plan of sd-tiny_unet: "));
  CHECK(std::count(ran.out.begin(), ran.out.end(), '\n') == 1);
  CHECK(json::parse(place.run("compare a.json b.json --format json").out)["equal"] == true);
}

TEST_CASE("what differs between two plans, and the exit code of --fail-above", "[cli][compare]") {
  const Workplace place;
  REQUIRE(place.run("partition sd-tiny/unet --save-plan a.json").code == 0);
  REQUIRE(place.run("partition sd-tiny/unet --sram 64KiB --strategy layer-by-layer --save-plan b.json").code == 0);
  const Ran ran = place.run("compare a.json b.json");
  CHECK(ran.code == 0);
  CHECK(contains(ran.out, "strategy fused -> layer-by-layer"));
  CHECK(contains(ran.out, "scratchpad.size 8MiB -> 64KiB"));
  CHECK(contains(ran.out, "predicted cycles"));
  CHECK(contains(ran.out, "groups that changed"));
  CHECK(contains(ran.out, "tensors that changed fate"));
  CHECK(contains(ran.out, "through DRAM"));
  CHECK(contains(ran.out, "(--detail: all)"));
  CHECK(!contains(place.run("compare a.json b.json --detail").out, "(--detail: all)"));
  const json c = json::parse(place.run("compare a.json b.json --format json").out);
  const json a = json::parse(place.read("a.json"));
  const json b = json::parse(place.read("b.json"));
  CHECK(c["equal"] == false);
  CHECK(c["a"]["predicted_cycles"] == a["totals"]["cycles"]);
  CHECK(c["b"]["predicted_cycles"] == b["totals"]["cycles"]);
  CHECK(c["b"]["groups"] == b["groups"].size());
  CHECK(c["worse_by"] > 0.02);

  const Ran failed = place.run("compare a.json b.json --fail-above 2%");
  CHECK(failed.code == 4);
  CHECK(failed.out == ran.out);
  CHECK(contains(failed.err, "--fail-above is 2 %"));
  CHECK(place.run("compare a.json b.json --fail-above 2").code == 4);
  CHECK(place.run("compare a.json b.json --fail-above 1e9%").code == 0);
  CHECK(place.run("compare b.json a.json --fail-above 0%").code == 0);  // better in both
}

TEST_CASE("plans that cannot be compared", "[cli][compare]") {
  const Workplace place;
  REQUIRE(place.run("partition sd-tiny/unet --save-plan a.json").code == 0);
  REQUIRE(place.run("partition sd-tiny/vae_decoder --save-plan other.json").code == 0);
  check_bad_input(place.run("compare a.json other.json"), "other.json: graph: is a plan for 'sd-tiny_vae_decoder'");
  check_bad_input(place.run("compare a.json absent.json"), "absent.json: no such file");
  check_bad_input(place.run("compare a.json ."), "is a folder");
  check_bad_input(place.run("compare a.json"), "B is required");
  check_bad_input(place.run("compare a.json a.json a.json"), "unexpected argument 'a.json'");
  check_bad_input(place.run("compare a.json a.json --format csv"), "--format 'csv'");
  check_bad_input(place.run("compare a.json a.json --fail-over 2%"), "did you mean '--fail-above'?");
  for (const char* wrong : {"two", "2%%", "-1", "nan", "inf", "%"}) {
    check_bad_input(place.run(std::string("compare a.json a.json --fail-above=") + wrong), "is not a percentage");
  }
  const std::string text = place.read("a.json");
  place.write("cut.json", text.substr(0, text.size() - 20));
  check_bad_input(place.run("compare a.json cut.json"), "cut.json:");
  json changed = json::parse(text);
  changed["groups"][3]["cycles"] = 7;
  place.write("changed.json", changed.dump());
  check_bad_input(place.run("compare changed.json a.json"), "changed.json: totals.cycles");
}
