// Do the other verbs answer?
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "program.h"

using nlohmann::json;
using spillway::test::contains;
using spillway::test::Ran;
using spillway::test::Workplace;

TEST_CASE("every verb's help has an example", "[cli][verbs]") {
  const Workplace place;
  for (const char* verb : {"", "profile", "run", "partition", "inspect", "zoo", "zoo list", "zoo export", "config",
                           "config list", "config show"}) {
    const Ran ran = place.run(std::string(verb) + " --help");
    INFO(verb);
    CHECK(ran.code == 0);
    CHECK(contains(ran.out, "Example"));
    CHECK(contains(ran.out, std::string("spillway ") + verb));
    CHECK(ran.err.empty());
  }
}

TEST_CASE("version", "[cli][verbs]") {
  const Workplace place;
  const Ran ran = place.run("--version");
  CHECK(ran.code == 0);
  CHECK(contains(ran.out, "report schema 1"));
}

TEST_CASE("config list and show", "[cli][verbs]") {
  const Workplace place;
  CHECK(contains(place.run("config list").out, "edge-8mb-slow"));
  const Ran shown = place.run("config show edge-8mb --set scratchpad.size=4MiB --precision fp16");
  REQUIRE(shown.code == 0);
  place.write("mine.yaml", shown.out);
  CHECK(place.run("config show mine.yaml").out == shown.out);
  CHECK(place.run("config show ./absent.yaml").code == 2);
}

TEST_CASE("zoo list and export", "[cli][verbs]") {
  const Workplace place;
  const std::string list = place.run("zoo list").out;
  CHECK(contains(list, "sdxl      text_encoder text_encoder_2 unet vae_encoder vae_decoder\n"));
  CHECK(contains(list, "resnet50  classifier\n"));
  // A model of one graph stands for it.
  CHECK(place.run("run resnet50 --image 32 --dry-run").code == 0);
  const Ran ran = place.run("zoo export sd-tiny --out t --with-weights --image 64");
  INFO(ran.err);
  CHECK(ran.code == 0);
  CHECK(contains(ran.out, "t/unet/model.onnx\n"));
  CHECK(place.files().size() == 8);
  CHECK(place.run("zoo export sd-tyny --out u").code == 2);
  CHECK(place.run("zoo export sd-tiny").code == 2);
  CHECK(place.files().size() == 8);
}

TEST_CASE("inspect prints what the graph holds", "[cli][verbs]") {
  const Workplace place;
  const Ran ran = place.run("inspect sd15/text_encoder --format json");
  REQUIRE(ran.code == 0);
  const json graph = json::parse(ran.out).at("graphs")[0];
  // Published: 84.9 M in the matrix weights of its layers, 13.3 G operations.
  CHECK(graph.at("parameters") == 123060480);
  CHECK(graph.at("macs") == 6649251840);
  const std::string text = place.run("inspect sd15/text_encoder").out;
  CHECK(contains(text, "123 060 480"));
  CHECK(contains(text, "6 649 251 840"));
  CHECK(place.files().empty());
}

TEST_CASE("partition shows the plan, proves it and dumps the command stream", "[cli][verbs]") {
  const Workplace place;
  const Ran ran = place.run("partition sd-tiny/unet --sram 256KiB --check --detail --dump-program listing.txt");
  INFO(ran.err);
  REQUIRE(ran.code == 0);
  CHECK(contains(ran.out, "checker      proven: "));
  CHECK(contains(ran.out, "groups in execution order"));
  CHECK(contains(place.read("listing.txt"), "load"));
  const Ran as_json = place.run("partition sd-tiny/unet --check --format json --strategy layer-by-layer");
  REQUIRE(as_json.code == 0);
  const json plan = json::parse(as_json.out).at("graphs")[0];
  CHECK(plan.at("strategy") == "layer-by-layer");
  std::int64_t moved = 0;
  for (const json& group : plan.at("groups")) moved += group.at("moved_bytes").get<std::int64_t>();
  CHECK(moved == plan.at("moved_bytes").get<std::int64_t>());
}

TEST_CASE("energy and its product with delay are objectives, and are printed as such", "[cli][verbs]") {
  const Workplace place;
  CHECK(contains(place.run("partition sd-tiny/vae_encoder --objective latency").out, "for latency)"));
  for (const std::string objective : {"energy", "edp"}) {
    const Ran planned = place.run("partition sd-tiny/vae_encoder --objective " + objective);
    INFO(planned.err << planned.out);
    REQUIRE(planned.code == 0);
    CHECK(contains(planned.out, "for " + objective + ")"));
    CHECK(contains(planned.out, "times delay"));
    const Ran ran = place.run("profile sd-tiny/vae_encoder --no-sensitivity --out o --objective " + objective);
    INFO(ran.err << ran.out);
    REQUIRE(ran.code == 0);
    CHECK(contains(ran.out, "energy "));
    CHECK(contains(ran.out, "times delay") == (objective == "edp"));
  }
}

TEST_CASE("run executes the Program, equals the reference and writes its outputs", "[cli][verbs]") {
  const Workplace place;
  const Ran ran = place.run("run sd-tiny/vae_decoder --check --out o");
  INFO(ran.err << ran.out);
  REQUIRE(ran.code == 0);
  CHECK(contains(ran.out, "(fp32, executed on real data)"));
  CHECK(contains(ran.out, "ok"));
  REQUIRE(place.files().size() == 1);
  const std::string written = place.files().front();
  // The same seed gives the same bytes, and an output can be an input again only where it fits.
  const std::string bytes = place.read(written);
  REQUIRE(place.run("run sd-tiny/vae_decoder --out o").code == 0);
  CHECK(place.read(written) == bytes);
  const Ran wrong = place.run("run sd-tiny/vae_decoder --input latent_sample=" + written);
  CHECK(wrong.code == 2);
  CHECK(contains(wrong.err, "shape is"));
}

TEST_CASE("run by the reference executor writes outputs and dumped tensors, in each format", "[cli][verbs]") {
  const Workplace place;
  const Ran npy = place.run("run sd-tiny/vae_decoder --reference --output o --format json");
  INFO(npy.err << npy.out);
  REQUIRE(npy.code == 0);
  const json result = json::parse(npy.out);
  CHECK(result.at("npu").is_null());
  REQUIRE(place.files() == std::vector<std::string>{"o/sample.npy"});
  // The NPU's output lies close, and another format holds the same bytes: as an input it is refused the same way.
  REQUIRE(place.run("run sd-tiny/vae_decoder --reference --output p --output-format pb").code == 0);
  REQUIRE(place.run("run sd-tiny/vae_decoder --reference --output z --output-format npz").code == 0);
  for (const std::string file : {"o/sample.npy", "p/sample.pb", "z/outputs.npz"}) {
    INFO(file);
    const Ran wrong = place.run("run sd-tiny/vae_decoder --reference --input latent_sample=" + file);
    CHECK(wrong.code == 2);
    CHECK(contains(wrong.err, "shape is 1x3x64x64 when the graph's input is"));
  }
  const Ran unknown = place.run("run sd-tiny/vae_decoder --reference --output d --dump smaple");
  CHECK(unknown.code == 2);
  CHECK(contains(unknown.err, "did you mean 'sample'?"));
  CHECK(contains(place.run("run sd-tiny/vae_decoder --reference --dump x").err, "--dump needs a folder"));
}

TEST_CASE("run in int8: fidelity by layer, and the same from a saved calibration", "[cli][verbs]") {
  const Workplace place;
  const std::string run = "run sd-tiny/vae_decoder --precision int8 --fidelity --format json ";
  const Ran made = place.run(run + "--save-ranges c.json");
  INFO(made.err);
  REQUIRE(made.code == 0);
  REQUIRE(place.files() == std::vector<std::string>{"c.json"});
  const json first = json::parse(made.out);
  CHECK(first.at("precision") == "int8");
  const json& fidelity = first.at("fidelity");
  REQUIRE(fidelity.at("outputs").size() == 1);
  CHECK(fidelity.at("outputs")[0].at("sqnr_db") > 15);
  CHECK(fidelity.at("outputs")[0].at("cosine") > 0.98);
  REQUIRE(fidelity.at("layers").size() > 10);
  const Ran loaded = place.run(run + "--load-ranges c.json");
  REQUIRE(loaded.code == 0);
  CHECK(json::parse(loaded.out).at("fidelity") == fidelity);
  const Ran wider = place.run("run sd-tiny/vae_decoder --precision w8a16 --fidelity --format json");
  REQUIRE(wider.code == 0);
  CHECK(json::parse(wider.out).at("fidelity").at("outputs")[0].at("sqnr_db") > fidelity.at("outputs")[0].at("sqnr_db"));
  const Ran table = place.run("run sd-tiny/vae_decoder --precision fp16 --fidelity --check");
  CHECK(table.code == 0);
  CHECK(contains(table.out, "those that lose most"));
  for (const auto& [flags, message] : {std::pair{"--precision fp16 --save-ranges d.json", "need no calibration"},
                                       {"--precision int8 --load-ranges nowhere.json", "nowhere.json"},
                                       {"--precision int8 --calibration best", "best"},
                                       {"--precision int8 --percentile 20", "--percentile"},
                                       {"--precision int8 --noise-samples 0", "--noise-samples"},
                                       {"--precision int8 --sample nowhere.npz", "nowhere.npz"},
                                       {"--reference --fidelity", "--reference runs none"}}) {
    const Ran wrong = place.run(std::string("run sd-tiny/vae_decoder ") + flags);
    INFO(flags << ": " << wrong.err);
    CHECK(wrong.code == 2);
    CHECK(contains(wrong.err, message));
  }
  // Another graph's calibration.
  const Ran other = place.run("run sd-tiny/text_encoder --precision int8 --load-ranges c.json");
  CHECK(other.code == 2);
  CHECK(contains(other.err, "has no range for it"));
  CHECK(place.files() == std::vector<std::string>{"c.json"});
}
TEST_CASE("run in JSON carries the comparison", "[cli][verbs]") {
  const Workplace place;
  const Ran ran = place.run("run sd-tiny/text_encoder --check --format json");
  INFO(ran.err);
  REQUIRE(ran.code == 0);
  const json result = json::parse(ran.out);
  CHECK(result.at("precision") == "fp32");
  REQUIRE_FALSE(result.at("reference").empty());
  for (const json& row : result.at("reference")) CHECK(row.at("ok") == true);
  CHECK(place.files().empty());
}

TEST_CASE("dimensions that a file leaves open are bound with the shape flag", "[cli][verbs]") {
  const std::string file = SPILLWAY_SOURCE_DIR "/../shared/exports/sd15_vae_decoder_dyn.onnx";
  if (!std::filesystem::exists(file)) {
    WARN("skipped: no ../shared/exports");
    return;
  }
  const Workplace place;
  const Ran open = place.run("inspect '" + file + "'");
  CHECK(open.code == 2);
  CHECK(contains(open.err, "'height' (dimension 2 of input 'latent_sample')"));
  CHECK(contains(open.err, "help: bind a whole input, for example --shape latent_sample:"));
  for (const char* flags :
       {"--shape latent_sample:1x4x32x16", "--shape batch=1 --shape channels=4 --shape height=32 --shape width=16"}) {
    const Ran bound = place.run("inspect '" + file + "' --format json " + flags);
    INFO(flags << ": " << bound.err);
    REQUIRE(bound.code == 0);
    const json graph = json::parse(bound.out).at("graphs")[0];
    CHECK(graph.at("inputs")[0].at("shape") == json({1, 4, 32, 16}));
    CHECK(graph.at("outputs")[0].at("shape") == json({1, 3, 256, 128}));
  }
  const Ran wrong = place.run("inspect '" + file + "' --shape latent_sample:1x4x32");
  CHECK(wrong.code == 2);
  CHECK(contains(wrong.err, "latent_sample"));
}
