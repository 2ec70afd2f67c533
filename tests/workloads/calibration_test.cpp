// Ranges, integers that stand for numbers, and measures of error: closed forms and cases by hand.
#include "workloads/calibration.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <numeric>

#include "tests/workloads/graph_builder.h"
#include "workloads/fidelity.h"

namespace {

using namespace spillway;
using namespace spillway::workloads;

/// 1, 2, ..., n and their negatives, in an order that makes a histogram widen on the way.
std::vector<float> ramp(int n) {
  std::vector<float> values(static_cast<std::size_t>(2 * n));
  for (int i = 0; i < n; ++i) {
    values[static_cast<std::size_t>(i)] = static_cast<float>(i + 1);
    values[static_cast<std::size_t>(n + i)] = -static_cast<float>(i + 1);
  }
  return values;
}

}  // namespace

TEST_CASE("integers stand for numbers as QuantizeLinear has it", "[calibration]") {
  const Quantiser s = symmetric_quantiser({-1, 2.54F}, 8);
  CHECK(s.scale == Approx(0.02));
  CHECK(s.zero_point == 0);
  CHECK(s.encode(2.54F) == 127);
  CHECK(s.encode(-100) == -127);
  CHECK(s.encode(100) == 127);
  CHECK(s.decode(s.encode(0)) == 0);
  const Quantiser a = asymmetric_quantiser({0, 2.55F}, 8);
  CHECK(a.scale == Approx(0.01));
  CHECK(a.zero_point == -128);
  CHECK(a.encode(0) == -128);
  CHECK(a.encode(2.55F) == 127);
  CHECK(a.decode(a.zero_point) == 0);
  // Halfway: to the even one.
  const Quantiser unit{.scale = 1, .zero_point = 0, .low = -128, .high = 127};
  CHECK(unit.encode(0.5F) == 0);
  CHECK(unit.encode(1.5F) == 2);
  CHECK(unit.encode(-2.5F) == -2);
  CHECK(unit.encode(std::nanf("")) == 0);
  // Nothing but zeros: any scale will do, none is zero or infinite.
  CHECK(symmetric_quantiser({0, 0}, 8).encode(0) == 0);
  CHECK(asymmetric_quantiser({0, 0}, 16).decode(asymmetric_quantiser({0, 0}, 16).zero_point) == 0);
  // An error of half a step at most, whatever the range.
  for (const Range range : {Range{-3, 1}, Range{-0.01F, 100}, Range{0, 5}, Range{-7, 0}}) {
    for (const int bits : {8, 16}) {
      for (const Quantiser& q : {symmetric_quantiser(range, bits), asymmetric_quantiser(range, bits)}) {
        for (float v = range.low; v <= range.high; v += (range.high - range.low) / 1000) {
          CHECK(std::fabs(q.decode(q.encode(v)) - v) <= 0.501F * q.scale);
        }
      }
    }
  }
}

TEST_CASE("a histogram widens and keeps its counts: extremes and percentiles", "[calibration]") {
  Histogram h;
  for (const float v : ramp(10000)) h.add(std::vector<float>{v});
  h.add(std::vector<float>(100, 0.0F));
  CHECK(h.count() == 20100);
  CHECK(h.extremes() == Range{-10000, 10000});
  CHECK(h.percentile(100) == h.extremes());
  // Two percent outside, one on each side: 201 values each.
  const Range most = h.percentile(98);
  CHECK(most.low == Approx(-9799).margin(16));
  CHECK(most.high == Approx(9799).margin(16));
  Histogram strange;
  strange.add(std::vector<float>{1, std::nanf(""), -INFINITY});
  CHECK(strange.count() == 1);
  CHECK(strange.not_finite() == 2);
  CHECK(strange.extremes() == Range{0, 1});
  CHECK(Histogram().extremes() == Range{0, 0});
  CHECK(Histogram().percentile(99) == Range{0, 0});
}

TEST_CASE("the least square error saturates an outlier and keeps what is even", "[calibration]") {
  Histogram even;
  even.add(ramp(1000));
  CHECK(even.least_square_error(8, true).high > 970);
  // A hundred thousand values within one, and a single one of four: to keep it costs every other one a step of 4/127.
  Histogram outlier;
  std::vector<float> values = ramp(50000);
  for (float& v : values) v /= 50000;
  values.push_back(4);
  outlier.add(values);
  const Range range = outlier.least_square_error(8, true);
  // By the closed form: 1e5 (2^2 h^2 / 254^2) / 12 + (4 - h)^2 is least at h = 4 / (1 + 1e5 / (3 * 254^2)) = 2.6.
  CHECK(range.high == Approx(4 / (1 + 1e5 / (3 * 254.0 * 254))).epsilon(0.05));
}

TEST_CASE("calibration sees every stored tensor, over all samples, and masks do not count", "[calibration]") {
  test::GraphBuilder b;
  const auto x = b.input("x", {1, 4});
  const auto masked = b.op("Add", {x, b.constant(test::floats({1, 4}, {0, 0, 0, -3e38F}))});
  const auto y = b.op("Softmax", {masked}, {{"axis", std::int64_t{-1}}});
  const Graph graph = b.finish({y});
  const TensorMap first{{"x", test::floats({1, 4}, {1, 2, 3, 4})}};
  const TensorMap second{{"x", test::floats({1, 4}, {-5, 2, 6, 4})}};
  const Calibration c = calibrate(graph, {first, second}, {});
  CHECK(c.samples == 2);
  CHECK(c.ranges.at("x") == Range{-5, 6});
  // The largest of the rows are 3 and 6: nothing 20 below 3 matters.
  CHECK(c.ranges.at(graph.tensors[masked].name) == Range{-17, 6});
  CHECK(c.ranges.at(graph.tensors[y].name).low == 0);
  CHECK(c.ranges.at(graph.tensors[y].name).high <= 1);
  const TensorMap bad{{"x", test::floats({1, 4}, {1, std::nanf(""), 3, 4})}};
  CHECK_THROWS_WITH(calibrate(graph, {bad}, {}), Catch::Contains("'x'") && Catch::Contains("NaN"));
  CHECK_THROWS(calibrate(graph, {}, {}));
}

TEST_CASE("a calibration file comes back as it was, and a wrong one is refused by key", "[calibration]") {
  Calibration c{.graph = "net", .method = CalibrationMethod::kMse, .symmetric = false, .samples = 3, .ranges = {}};
  c.ranges["a"] = {-1.5F, 0.1F};
  c.ranges["/b.1"] = {0, 3e20F};
  const std::string text = calibration_to_json(c);
  const Calibration back = calibration_from_json(text, "c.json");
  CHECK(back.graph == c.graph);
  CHECK(back.method == c.method);
  CHECK(back.symmetric == c.symmetric);
  CHECK(back.samples == c.samples);
  CHECK(back.ranges == c.ranges);
  const auto refusal = [](const std::string& other) {
    try {
      (void)calibration_from_json(other, "c.json");
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("none");
  };
  CHECK_THAT(refusal("{"), Catch::Contains("c.json"));
  CHECK_THAT(refusal("[]"), Catch::Contains("not JSON, or not an object"));
  CHECK_THAT(refusal("{}"), Catch::Contains("spillway_calibration"));
  const auto changed = [&](const std::string& from, const std::string& to) {
    std::string other = text;
    other.replace(other.find(from), from.size(), to);
    return refusal(other);
  };
  CHECK_THAT(changed("\"mse\"", "\"best\""), Catch::Contains("'best'"));
  CHECK_THAT(changed("\"ranges\": {", "\"ranges\": [], \"x\": {"), Catch::Contains("ranges"));
  CHECK_THAT(changed("-1.5", "1.5"), Catch::Contains("ranges.a"));
  CHECK_THAT(changed("-1.5", "\"low\""), Catch::Contains("ranges.a"));
  for (std::size_t cut = 0; cut + 1 < text.size(); cut += 7) CHECK(refusal(text.substr(0, cut)) != "none");
}

TEST_CASE("errors in decibels, largest, mean and angle", "[calibration]") {
  ErrorSums e;
  e.add(3, 3);
  e.add(4, 5);
  CHECK(e.count == 2);
  CHECK(e.sqnr_db() == Approx(10 * std::log10(25.0)));
  CHECK(e.largest == 1);
  CHECK(e.mean_error() == 0.5);
  CHECK(e.cosine() == Approx((9 + 20) / (5 * std::sqrt(34.0))));
  ErrorSums same;
  same.add(1, 1);
  same.add(INFINITY, INFINITY);
  CHECK(std::isinf(same.sqnr_db()));
  CHECK(same.cosine() == 1);
  ErrorSums broken = same;
  broken.add(1, std::nanf(""));
  CHECK(broken.sqnr_db() == -INFINITY);
  ErrorSums sum = e;
  sum += same;
  CHECK(sum.count == 4);
  CHECK(sum.error_squares == 1);
}
