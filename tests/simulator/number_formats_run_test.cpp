// Programs on real data in every number format: single operators against arithmetic written out here. Random graphs and
// whole networks: format_properties_test.cpp.
#include <catch2/catch.hpp>
#include <cmath>
#include <functional>
#include <numeric>
#include <random>

#include "simulator/functional/byte_product.h"
#include "simulator/functional/integer_product.h"
#include "simulator/simulator.h"
#include "tests/workloads/graph_builder.h"
#include "workloads/number_formats.h"

namespace spillway::simulator::test {

namespace {

using workloads::Calibration;
using workloads::Graph;
using workloads::HostTensor;
using workloads::TensorMap;
using workloads::test::GraphBuilder;

configs::NpuConfig npu_in(const std::string& precision, Bytes scratchpad = 8 << 20) {
  return configs::load_config("edge-8mb",
                              {"precision=" + precision, "scratchpad.size=" + std::to_string(scratchpad) + "B"});
}

FunctionalResult run(const Graph& graph, const configs::NpuConfig& npu, const TensorMap& inputs,
                     const Calibration* calibration = nullptr) {
  auto planned = partitioner::partition(graph, npu);
  REQUIRE(std::holds_alternative<partitioner::Plan>(planned));
  const auto program = partitioner::lower(graph, npu, std::get<partitioner::Plan>(planned));
  return simulate_functional(program, npu, inputs, {.calibration = calibration});
}

HostTensor tensor(workloads::Shape shape, std::vector<float> values) {
  return {workloads::DataType::kFloat32, std::move(shape), std::move(values)};
}

std::vector<float> whole_numbers(std::size_t count, int most, unsigned seed) {
  std::mt19937 engine(seed);
  std::uniform_int_distribution<int> any(-most, most);
  std::vector<float> values(count);
  for (float& v : values) v = static_cast<float>(any(engine));
  return values;
}

/// Signal to noise in decibels.
double sqnr(const HostTensor& reference, const HostTensor& found) {
  double signal = 0;
  double noise = 0;
  for (std::size_t i = 0; i < reference.floats().size(); ++i) {
    const double r = reference.floats()[i];
    const double e = found.floats()[i] - r;
    signal += r * r;
    noise += e * e;
  }
  return 10 * std::log10(signal / noise);
}

}  // namespace

TEST_CASE("an int8 product is exact integer arithmetic, rounded once as it is stored", "[simulator][formats]") {
  constexpr std::int64_t kRows = 37, kDepth = 600, kColumns = 21;
  const auto a = whole_numbers(kRows * kDepth, 127, 1);
  auto w = whole_numbers(kDepth * kColumns, 127, 2);
  for (std::int64_t c = 0; c < kColumns; ++c) w[static_cast<std::size_t>(c)] = 127;  // so that each column's scale is 1
  GraphBuilder b;
  const auto y =
      b.op("MatMul", {b.input("x", {kRows, kDepth}), b.constant(workloads::test::floats({kDepth, kColumns}, w))});
  const Graph graph = workloads::canonicalise(b.finish({y}));
  const std::string out = graph.tensors[graph.outputs[0]].name;
  constexpr float kUnit = 4096;  // of the result's integers
  const Calibration calibration{.graph = "by hand", .ranges = {{"x", {-127, 127}}, {out, {-127 * kUnit, 127 * kUnit}}}};
  for (const Bytes scratchpad : {Bytes{8} << 20, Bytes{24} << 10}) {
    const auto found = run(graph, npu_in("int8", scratchpad), {{"x", tensor({kRows, kDepth}, a)}}, &calibration);
    int wrong = 0;
    int saturated = 0;
    for (std::int64_t r = 0; r < kRows; ++r) {
      for (std::int64_t c = 0; c < kColumns; ++c) {
        std::int64_t sum = 0;
        for (std::int64_t k = 0; k < kDepth; ++k) {
          sum += static_cast<std::int64_t>(a[static_cast<std::size_t>(r * kDepth + k)]) *
                 static_cast<std::int64_t>(w[static_cast<std::size_t>(k * kColumns + c)]);
        }
        const double q = std::clamp(std::nearbyint(static_cast<double>(sum) / kUnit), -127.0, 127.0);
        saturated += std::abs(q) == 127 ? 1 : 0;
        wrong += found.outputs.at(out).floats()[static_cast<std::size_t>(r * kColumns + c)] == q * kUnit ? 0 : 1;
      }
    }
    CHECK(wrong == 0);
    CHECK(saturated < kRows * kColumns / 4);  // most of them said something
  }
}

TEST_CASE("sums of integer products are exact whatever their size", "[simulator][formats]") {
  const auto product = [](std::int64_t depth, float a, float w) {
    GraphBuilder b;
    const auto y = b.op("MatMul", {b.input("x", {1, depth}), b.input("w", {depth, 1})});
    const Graph graph = b.finish({y});
    std::vector<float> as(static_cast<std::size_t>(depth), a), ws(static_cast<std::size_t>(depth), w);
    as.back() = 1;  // an odd one, which a float that has run out of digits would lose
    ws.back() = 1;
    const std::vector<workloads::ConstRegionView> views{{workloads::whole({1, depth}), as.data()},
                                                        {workloads::whole({depth, 1}), ws.data()}};
    return integer_product(graph, graph.nodes[0], views, depth, workloads::whole({1, 1}))[0];
  };
  for (const std::int64_t depth : {2, 700, 20000, 100000}) {
    for (const auto& [a, w] :
         {std::pair{127, 127}, {-128, 127}, {-255, -128}, {255, 127}, {32767, 127}, {-65535, -32768}}) {
      CAPTURE(depth, a, w);
      CHECK(product(depth, static_cast<float>(a), static_cast<float>(w)) ==
            static_cast<double>((depth - 1) * a * w + 1));
    }
  }
}

TEST_CASE("the host's 8-bit products give the sums of the general way", "[simulator][formats]") {
  std::mt19937 engine(11);
  std::uniform_int_distribution<int> byte(-128, 127);
  int known = 0;
  const auto compare = [&](const Graph& graph, const workloads::Box& out) {
    const auto& node = graph.nodes.back();
    const std::array<std::int32_t, 2> zero{byte(engine), node.op == "Conv" ? 0 : byte(engine)};
    std::array<std::vector<float>, 2> whole;  // of the inputs, zero points taken off
    for (int i = 0; i < 2; ++i) {
      whole[i].resize(static_cast<std::size_t>(graph.input(node, i).elements()));
      for (float& v : whole[i]) v = static_cast<float>(byte(engine) - zero[i]);
    }
    // The element of input i at given coordinates.
    const auto element = [&](int i, const std::array<std::int32_t, workloads::kMaxRank>& at) {
      std::int64_t index = 0;
      const auto& shape = graph.input(node, i).shape;
      for (std::size_t d = 0; d < shape.size(); ++d) index = index * shape[d] + at[d];
      return whole[i][static_cast<std::size_t>(index)];
    };
    const auto part = [&](int i, const workloads::Box& box, std::span<const int> order) {
      std::vector<float> values;
      std::array<std::int32_t, workloads::kMaxRank> at{};
      const std::function<void(std::size_t)> walk = [&](std::size_t level) {
        if (level == order.size()) return values.push_back(element(i, at));
        const int d = order[level];
        for (at[d] = box.begin[d]; at[d] < box.end(d); ++at[d]) walk(level + 1);
      };
      walk(0);
      return values;
    };
    std::array<std::vector<std::int8_t>, 2> raw;
    const auto read = [&](int i, const workloads::Box& box, std::span<const int> order) {
      for (const float v : part(i, box, order))
        raw[i].push_back(static_cast<std::int8_t>(v + static_cast<float>(zero[i])));
      return ByteRegion{raw[i].data(), nullptr};
    };
    // The sums belong into an array here, or stay where they are made.
    std::vector<std::int32_t> there(static_cast<std::size_t>(out.elements()));
    const bool placed = engine() % 2 == 0;
    const auto place = [&](std::span<const int>) { return placed ? there.data() : nullptr; };
    const auto bytes = byte_product(graph, node, out, zero, read, place);
    if (!bytes) return;
    ++known;
    CHECK(bytes->values == (placed ? there.data() : reinterpret_cast<std::int32_t*>(bytes->buffer->get())));
    std::array<std::vector<float>, 2> regions;
    std::vector<workloads::ConstRegionView> views(node.inputs.size());
    for (int i = 0; i < 2; ++i) {
      const auto box = workloads::operator_of(node).region(graph, node, i, out);
      std::vector<int> order(static_cast<std::size_t>(box.rank));
      std::iota(order.begin(), order.end(), 0);
      regions[i] = part(i, box, order);
      views[i] = {box, regions[i].data()};
    }
    const auto sums = integer_product(graph, node, views, 5000, out);
    // Row-major of `out`, found in the order of the other.
    std::size_t wrong = 0;
    std::array<std::int32_t, workloads::kMaxRank> at{};
    for (std::size_t i = 0; i < sums.size(); ++i) {
      std::size_t index = 0;
      for (const int d : bytes->order)
        index = index * static_cast<std::size_t>(out.extent[d]) + static_cast<std::size_t>(at[d]);
      wrong += bytes->values[index] == sums[i] ? 0 : 1;
      for (int d = out.rank - 1; d >= 0 && ++at[d] == out.extent[d]; --d) at[d] = 0;
    }
    CHECK(wrong == 0);
  };
  const auto random_box = [&](const workloads::Shape& shape) {
    workloads::Box box{.rank = static_cast<int>(shape.size())};
    for (int d = 0; d < box.rank; ++d) {
      const auto extent = static_cast<std::int32_t>(shape[static_cast<std::size_t>(d)]);
      const auto first = static_cast<std::int32_t>(engine() % static_cast<unsigned>(extent));
      box.set(d, first, 1 + static_cast<std::int32_t>(engine() % static_cast<unsigned>(extent - first)));
    }
    return box;
  };
  using Ints = std::vector<std::int64_t>;
  for (int round = 0; round < 60; ++round) {
    const auto any = [&](int least, int most) {
      return static_cast<std::int64_t>(least + static_cast<int>(engine() % static_cast<unsigned>(most - least + 1)));
    };
    GraphBuilder b;
    if (round % 2 == 0) {
      const auto m = any(1, 9), k = any(1, 70), n = any(1, 20);
      const bool shared = round % 4 == 0;
      const auto x = b.input("x", {2, 3, m, k});
      // As canonical graphs have it: perhaps transposed, and scaled, which is left to the drain.
      const bool transposed = round % 6 < 2;
      workloads::Shape second = shared ? workloads::Shape{k, n} : workloads::Shape{2, 3, k, n};
      if (transposed) std::swap(second[second.size() - 2], second.back());
      const auto y = b.op("MatMul", {x, shared ? b.random(second) : b.input("w", second)},
                          {{"transB", std::int64_t{transposed ? 1 : 0}}, {"alpha", 0.125F}});
      const Graph graph = b.finish({y});
      compare(graph, random_box(graph.output(graph.nodes.back()).shape));
    } else {
      const auto kernel = any(1, 3), stride = any(1, 2), pad = any(0, 2), dilation = any(1, 2);
      const auto x = b.input("x", {2, any(1, 20), 9, 11});
      const auto w = b.random({any(1, 12), b.shape(x)[1], kernel, kernel});
      const Graph graph = b.finish({b.op("Conv", {x, w},
                                         {{"pads", Ints{pad, pad, pad, pad}},
                                          {"strides", Ints{stride, stride}},
                                          {"dilations", Ints{dilation, dilation}}})});
      compare(graph, random_box(graph.output(graph.nodes.back()).shape));
    }
  }
  CHECK(known > 40);
}

TEST_CASE("floats are rounded to their storage once, vector results to the engine's width", "[simulator][formats]") {
  GraphBuilder b;
  const auto x = b.input("x", {8, 64});
  const auto y = b.input("y", {8, 64});
  const Graph graph = workloads::canonicalise(b.finish({b.op("Add", {x, y})}));
  const std::string out = graph.tensors[graph.outputs[0]].name;
  const TensorMap inputs{{"x", workloads::random_tensor(workloads::DataType::kFloat32, {8, 64}, 1)},
                         {"y", workloads::random_tensor(workloads::DataType::kFloat32, {8, 64}, 2)}};
  const auto half = [](float v) { return workloads::float_from_half(workloads::half_from_float(v)); };
  const auto bf16 = [](float v) { return workloads::float_from_bfloat16(workloads::bfloat16_from_float(v)); };
  const auto e4m3 = [](float v) {
    return workloads::float_from_float8(workloads::kE4M3, workloads::float8_from_float(workloads::kE4M3, v));
  };
  struct Case {
    const char* precision;
    std::function<float(float)> stored, computed;
  };
  for (const Case& c :
       {Case{"fp16", half, half}, Case{"bf16", bf16, [](float v) { return v; }}, Case{"fp8", e4m3, half}}) {
    INFO(c.precision);
    const auto found = run(graph, npu_in(c.precision), inputs).outputs.at(out);
    int wrong = 0;
    for (std::size_t i = 0; i < found.floats().size(); ++i) {
      const float sum = c.stored(inputs.at("x").floats()[i]) + c.stored(inputs.at("y").floats()[i]);
      wrong += found.floats()[i] == c.stored(c.computed(sum)) ? 0 : 1;
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("weights have a scale for each output channel", "[simulator][formats]") {
  // Two convolutions' channels a thousand times apart: one scale for all would leave nothing of the small ones.
  GraphBuilder b;
  std::vector<float> weights = whole_numbers(4 * 3 * 9, 100, 3);
  for (std::size_t i = 0; i < weights.size(); ++i) weights[i] *= i / 27 % 2 == 0 ? 1e-3F : 1.0F;
  const auto x = b.input("x", {1, 3, 16, 16});
  const auto y = b.op("Conv", {x, b.constant(workloads::test::floats({4, 3, 3, 3}, weights))},
                      {{"pads", std::vector<std::int64_t>{1, 1, 1, 1}}});
  // One output for the small channels, so that their results have a range of their own.
  const auto small =
      b.op("Conv", {x, b.constant(workloads::test::floats({1, 3, 3, 3}, {weights.begin(), weights.begin() + 27}))},
           {{"pads", std::vector<std::int64_t>{1, 1, 1, 1}}});
  const Graph graph = workloads::canonicalise(b.finish({y, small}));
  const TensorMap inputs{{"x", workloads::random_tensor(workloads::DataType::kFloat32, {1, 3, 16, 16}, 1)}};
  const auto reference = workloads::execute(graph, inputs);
  const auto calibration = workloads::calibrate(graph, {inputs}, {});
  const auto found = run(graph, npu_in("int8"), inputs, &calibration).outputs;
  for (const auto& [name, wanted] : reference) CHECK(sqnr(wanted, found.at(name)) > 30);
}

TEST_CASE("weights that lie on a grid keep it", "[simulator][formats]") {
  // Integers of less than full range times one scale for all channels, as a quantised export has them: every sum is a
  // whole number of 2^-4, which a scale for each channel's largest magnitude would not give.
  constexpr std::int64_t kRows = 16, kDepth = 64, kColumns = 24;
  constexpr float kStep = 0.0625F, kUnit = 64;
  const auto lowest = GENERATE(-40, -128);
  const auto a = whole_numbers(kRows * kDepth, 127, 1);
  std::vector<float> steps = whole_numbers(kDepth * kColumns, 40, 2);
  steps[5] = static_cast<float>(lowest);
  std::vector<float> weights(steps);
  for (float& w : weights) w *= kStep;
  GraphBuilder b;
  const auto y =
      b.op("MatMul", {b.input("x", {kRows, kDepth}), b.constant(workloads::test::floats({kDepth, kColumns}, weights))});
  const Graph graph = workloads::canonicalise(b.finish({y}));
  const std::string out = graph.tensors[graph.outputs[0]].name;
  const float range = 127 * kUnit * kStep;
  const Calibration calibration{.graph = "by hand", .ranges = {{"x", {-127, 127}}, {out, {-range, range}}}};
  const auto found = run(graph, npu_in("int8"), {{"x", tensor({kRows, kDepth}, a)}}, &calibration);
  int wrong = 0;
  for (std::int64_t r = 0; r < kRows; ++r) {
    for (std::int64_t c = 0; c < kColumns; ++c) {
      double sum = 0;
      for (std::int64_t k = 0; k < kDepth; ++k) {
        sum += static_cast<double>(a[static_cast<std::size_t>(r * kDepth + k)]) *
               static_cast<double>(steps[static_cast<std::size_t>(k * kColumns + c)]);
      }
      const double q = std::clamp(std::nearbyint(sum / kUnit), -127.0, 127.0);
      const float stored = found.outputs.at(out).floats()[static_cast<std::size_t>(r * kColumns + c)];
      wrong += stored == static_cast<float>(q) * kUnit * kStep ? 0 : 1;
    }
  }
  CHECK(wrong == 0);
}

TEST_CASE("an asymmetric range uses all integers", "[simulator][formats]") {
  GraphBuilder b;
  const Graph graph = workloads::canonicalise(b.finish({b.op("Relu", {b.input("x", {4, 256})})}));
  const std::string out = graph.tensors[graph.outputs[0]].name;
  std::vector<float> ramp(1024);
  for (std::size_t i = 0; i < ramp.size(); ++i) ramp[i] = static_cast<float>(i) / 1023.0F;
  const TensorMap inputs{{"x", tensor({4, 256}, ramp)}};
  const auto distinct = [&](bool symmetric) {
    const auto calibration = workloads::calibrate(graph, {inputs}, {.symmetric = symmetric});
    auto values = run(graph, npu_in("int8"), inputs, &calibration).outputs.at(out).floats();
    CHECK(values.front() == 0);  // zero is always exact
    std::sort(values.begin(), values.end());
    return std::unique(values.begin(), values.end()) - values.begin();
  };
  CHECK(distinct(true) == 128);
  CHECK(distinct(false) == 256);
}

TEST_CASE("integers without a calibration are refused, naming a tensor", "[simulator][formats][error]") {
  GraphBuilder b;
  const Graph graph = workloads::canonicalise(b.finish({b.op("Relu", {b.input("x", {4, 4})})}));
  const TensorMap inputs{{"x", workloads::random_tensor(workloads::DataType::kFloat32, {4, 4}, 1)}};
  CHECK_THROWS_WITH(run(graph, npu_in("int8"), inputs),
                    Catch::Contains("'x'") && Catch::Contains("range must be known"));
  const Calibration other{.graph = "another", .ranges = {{"elsewhere", {-1, 1}}}};
  CHECK_THROWS_WITH(run(graph, npu_in("int8"), inputs, &other), Catch::Contains("made for the graph 'another'"));
}

TEST_CASE("fidelity layer by layer: the layer with the narrow weights is the one that loses", "[simulator][formats]") {
  // Three layers; in the second, each channel's weights share a scale with one that is two hundred times larger and
  // multiplies a feature that is always zero.
  GraphBuilder b;
  const auto weights = [&](float outlier) {
    std::vector<float> w = whole_numbers(64 * 64, 100, 5);
    for (float& v : w) v /= 1000;
    for (std::size_t i = 0; i < 64; ++i) w[i] = outlier, w[i * 64] = outlier > 0 ? w[i * 64] : 0;
    return b.constant(workloads::test::floats({64, 64}, w));
  };
  const auto x = b.input("x", {32, 64});
  const auto one = b.op("MatMul", {x, weights(0.0F)});
  const auto two = b.op("MatMul", {b.op("Relu", {one}), weights(20.0F)});
  const auto three = b.op("MatMul", {b.op("Relu", {two}), weights(0.1F)});
  const Graph graph = workloads::canonicalise(b.finish({three}));
  const TensorMap inputs{{"x", workloads::random_tensor(workloads::DataType::kFloat32, {32, 64}, 1)}};
  const auto calibration = workloads::calibrate(graph, {inputs}, {});
  const auto layers_in = [&](const char* precision) {
    const auto npu = npu_in(precision);
    auto planned = partitioner::partition(graph, npu, {.strategy = partitioner::Strategy::kLayerByLayer});
    const auto program = partitioner::lower(graph, npu, std::get<partitioner::Plan>(planned));
    return simulate_functional(program, npu, inputs, {.calibration = &calibration, .fidelity = true}).layers;
  };
  const auto layers = layers_in("int8");
  REQUIRE(layers.size() >= 3);
  const auto loses_most = std::max_element(layers.begin(), layers.end(),
                                           [](const auto& l, const auto& r) { return l.added_noise < r.added_noise; });
  CHECK(loses_most->tensor == graph.tensors[two].name);
  for (const auto& layer : layers) {
    CHECK(layer.error.count > 0);
    CHECK(layer.error.cosine() > 0.5);
  }
  for (const auto& layer : layers_in("fp32")) CHECK(layer.error.sqnr_db() > 100);
}

}  // namespace spillway::simulator::test
