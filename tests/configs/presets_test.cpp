#include <algorithm>
#include <filesystem>
#include <fstream>

#include "configs/configs.h"
#include "tests/configs/expect_error.h"

namespace spillway::configs {
namespace {

template <typename Table, typename Key>
double at(const Table& table, Key key) {
  return table[static_cast<std::size_t>(key)];
}

TEST_CASE("edge-8mb is the frozen reference", "[configs][presets]") {
  const NpuConfig npu = load_config("edge-8mb");
  CHECK(npu.name == "edge-8mb");
  CHECK(npu.clock_hz == 1e9);
  CHECK(npu.matrix.count == 1);
  CHECK(npu.matrix.rows == 64);
  CHECK(npu.matrix.cols == 64);
  CHECK(npu.matrix.dataflow == Dataflow::kWeightStationary);
  CHECK(npu.matrix.shadow_weights);
  CHECK(npu.matrix.accumulator_bytes == 512 * 1024);
  CHECK(at(npu.matrix.rate, Format::kInt8) == 1);
  CHECK(at(npu.matrix.rate, Format::kInt16) == 0.25);
  CHECK(at(npu.matrix.rate, Format::kFp16) == 0.5);
  CHECK(at(npu.matrix.rate, Format::kBf16) == 0.5);
  CHECK(at(npu.matrix.rate, Format::kFp8E4M3) == 1);
  CHECK(at(npu.matrix.rate, Format::kFp8E5M2) == 1);
  CHECK(at(npu.matrix.rate, Format::kFp32) == 0.25);
  CHECK(npu.vector.count == 1);
  CHECK(npu.vector.lanes == 256);
  for (const VectorOp op : {VectorOp::kAddMul, VectorOp::kCompare, VectorOp::kMove})
    CHECK(at(npu.vector.rate, op) == 1);
  for (const VectorOp op : {VectorOp::kDiv, VectorOp::kExp, VectorOp::kSqrt, VectorOp::kErf}) {
    CHECK(at(npu.vector.rate, op) == 0.25);
  }
  CHECK(npu.scratchpad.size == 8 * 1024 * 1024);
  CHECK(npu.dma.channels == 2);
  CHECK(npu.dram.standard == "LPDDR5-6400");
  CHECK(npu.dram.channels * npu.dram.channel_bits == 64);
  CHECK(npu.dram.peak_bytes_per_second() == 51.2e9);
  CHECK(npu.precision == uniform_precision("int8"));
}

TEST_CASE("edge-8mb-slow differs from edge-8mb in its DRAM only", "[configs][presets]") {
  NpuConfig slow = load_config("edge-8mb-slow");
  CHECK(slow.dram.standard == "LPDDR4X-4266");
  CHECK(slow.dram.peak_bytes_per_second() == Approx(8.532e9));
  const NpuConfig fast = load_config("edge-8mb");
  slow.name = fast.name;
  slow.description = fast.description;
  slow.source = fast.source;
  slow.dram = fast.dram;
  slow.energy.dram_pj_per_byte = fast.energy.dram_pj_per_byte;
  CHECK(slow == fast);
}

TEST_CASE("published peaks of the presets", "[configs][presets]") {
  const auto tops = [](const char* name) {
    const NpuConfig npu = load_config(name);
    return 2 * static_cast<double>(npu.mac_cells()) * npu.clock_hz * npu.matrix.rate[0] / 1e12;
  };
  CHECK(tops("ethos-u85-like") == Approx(4).epsilon(0.03));
  CHECK(tops("coral-edge-tpu-like") == Approx(4).epsilon(0.03));
  CHECK(tops("xavier-nvdla-like") == Approx(5.7).epsilon(0.01));
  CHECK(tops("npu3720-like") == Approx(11.5).epsilon(0.01));
  CHECK(tops("tpu-v1-like") == Approx(92).epsilon(0.01));
  CHECK(tops("tpu-v4i-like") == Approx(138).epsilon(0.01));
  CHECK(load_config("tpu-v1-like").dram.peak_bytes_per_second() == Approx(34e9).epsilon(0.01));
  CHECK(load_config("tpu-v4i-like").dram.peak_bytes_per_second() == Approx(614e9).epsilon(0.01));
  CHECK(load_config("xavier-nvdla-like").dram.peak_bytes_per_second() == Approx(137e9).epsilon(0.01));
}

TEST_CASE("every preset loads, cites its sources and writes back to an equal config", "[configs][presets]") {
  REQUIRE(preset_names().size() >= 6);
  CHECK(std::ranges::is_sorted(preset_names()));
  for (const std::string& name : preset_names()) {
    INFO(name);
    const NpuConfig npu = load_config(name);
    CHECK(npu.name == name);
    CHECK_FALSE(npu.description.empty());
    CHECK_FALSE(npu.source.empty());
    CHECK(npu.energy.source.find("provisional") != std::string::npos);
    CHECK(npu.energy.dram_pj_per_byte > 0);
    CHECK(npu.energy.scratchpad_pj_per_byte > 0);
    CHECK(npu.energy.static_mw > 0);
    const std::string yaml = to_yaml(npu);
    CHECK(parse_config(yaml, "resolved_config.yaml") == npu);
    CHECK(to_yaml(parse_config(yaml, "resolved_config.yaml")) == yaml);
  }
}

TEST_CASE("every preset file is embedded", "[configs][presets]") {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(SPILLWAY_SOURCE_DIR "/configs/presets")) {
    files.push_back(entry.path().stem().string());
    std::ifstream stream(entry.path());
    const std::string text{std::istreambuf_iterator<char>(stream), {}};
    CHECK_NOTHROW(parse_config(text, entry.path().string()));
  }
  std::ranges::sort(files);
  CHECK(files == preset_names());
}

TEST_CASE("an unknown preset is answered with the nearest and the list", "[configs][presets]") {
  const Error error = test::error_of([] { (void)load_config("edge-8m"); });
  CHECK(error.kind() == ErrorKind::kBadInput);
  CHECK(std::string(error.what()) == "unknown NPU 'edge-8m'; did you mean 'edge-8mb'?");
  CHECK(error.help().find("tpu-v1-like") != std::string::npos);
}

}  // namespace
}  // namespace spillway::configs
