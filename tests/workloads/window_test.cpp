// Pooling by hand; Resize against the examples of the ONNX operator specification.
#include <catch2/catch.hpp>

#include "regions.h"
#include "workloads/compute/strided.h"

using namespace spillway;
using namespace spillway::workloads;
using namespace spillway::workloads::test;

namespace {

HostTensor counted(Shape shape) {
  std::vector<float> values;
  for (std::int64_t i = 0; i < elements_of(shape); ++i) values.push_back(static_cast<float>(i + 1));
  return floats(std::move(shape), std::move(values));
}

void check_near(const std::vector<float>& found, const std::vector<float>& wanted) {
  REQUIRE(found.size() == wanted.size());
  for (std::size_t i = 0; i < wanted.size(); ++i) CHECK(found[i] == Approx(wanted[i]).epsilon(1e-5));
}

Attributes resize(const std::string& mode, const std::string& coordinates = {}, const std::string& nearest = {}) {
  Attributes attributes{{"mode", mode}};
  if (!coordinates.empty()) attributes["coordinate_transformation_mode"] = coordinates;
  if (!nearest.empty()) attributes["nearest_mode"] = nearest;
  return attributes;
}

In scales(std::vector<float> values) {
  const auto count = static_cast<std::int64_t>(values.size());
  return fixed(floats({count}, std::move(values)));
}

std::vector<float> resized(const HostTensor& x, std::vector<float> by, const Attributes& attributes) {
  return computed("Resize", {x, fixed(floats({0}, {})), scales(std::move(by))}, attributes);
}
std::vector<float> resized_to(const HostTensor& x, IntList sizes, const Attributes& attributes) {
  return computed("Resize", {x, omitted(), omitted(), fixed(list(std::move(sizes)))}, attributes);
}

}  // namespace

TEST_CASE("pooling refuses impossible windows", "[operators][pool]") {
  const HostTensor x = counted({1, 1, 4, 4});
  CHECK_THAT(refusal("MaxPool", {x}), Catch::Contains("spatial axes"));
  CHECK_THAT(refusal("MaxPool", {x}, {{"kernel_shape", IntList{5, 1}}}), Catch::Contains("window of 5"));
  CHECK_THAT(refusal("MaxPool", {x}, {{"kernel_shape", IntList{0, 1}}}), Catch::Contains("not positive"));
  CHECK_THAT(refusal("MaxPool", {x}, {{"kernel_shape", IntList{2, 2}}, {"pads", IntList{2, 0, 0, 0}}}),
             Catch::Contains("pad is as large"));
}

TEST_CASE("MaxPool and AveragePool by hand", "[operators][pool]") {
  const HostTensor x = counted({1, 1, 3, 3});
  const Attributes two{{"kernel_shape", IntList{2, 2}}};
  CHECK(computed("MaxPool", {x}, two) == std::vector<float>{5, 6, 8, 9});
  CHECK(computed("AveragePool", {x}, two) == std::vector<float>{3, 4, 6, 7});
  Attributes padded{{"kernel_shape", IntList{2, 2}}, {"strides", IntList{2, 2}}, {"pads", IntList{1, 1, 0, 0}}};
  CHECK(computed("MaxPool", {x}, padded) == std::vector<float>{1, 3, 7, 9});
  CHECK(computed("AveragePool", {x}, padded) == std::vector<float>{1, 2.5F, 5.5F, 7});
  padded["count_include_pad"] = std::int64_t{1};
  CHECK(computed("AveragePool", {x}, padded) == std::vector<float>{0.25F, 1.25F, 2.75F, 7});
  CHECK(computed("MaxPool", {counted({1, 1, 5})}, {{"kernel_shape", IntList{2}}, {"dilations", IntList{3}}}) ==
        std::vector<float>{4, 5});
  CHECK(computed("MaxPool", {floats({1, 1, 2}, {-3, -2})}, {{"kernel_shape", IntList{2}}, {"pads", IntList{1, 1}}}) ==
        std::vector<float>{-3, -2, -2});
}

TEST_CASE("ceil_mode counts a last partial window", "[operators][pool]") {
  const HostTensor x = counted({1, 1, 4, 4});
  const Attributes up{{"kernel_shape", IntList{3, 3}}, {"strides", IntList{2, 2}}, {"ceil_mode", std::int64_t{1}}};
  CHECK(computed("MaxPool", {x}, up) == std::vector<float>{11, 12, 15, 16});
  CHECK(computed("AveragePool", {x}, up) == std::vector<float>{6, 7.5F, 12, 13.5F});
  // A window that would start in the trailing pad is not counted.
  const OneNode n("MaxPool", {counted({1, 1, 2})},
                  {{"kernel_shape", IntList{1}}, {"strides", IntList{2}}, {"ceil_mode", std::int64_t{1}}});
  CHECK(n.output().shape == Shape{1, 1, 1});
}

TEST_CASE("global pooling", "[operators][pool]") {
  const HostTensor x = counted({1, 2, 2, 2});
  CHECK(computed("GlobalAveragePool", {x}) == std::vector<float>{2.5F, 6.5F});
  CHECK(computed("GlobalMaxPool", {x}) == std::vector<float>{4, 8});
  CHECK(OneNode("GlobalMaxPool", {x}).output().shape == Shape{1, 2, 1, 1});
}

TEST_CASE("pooling on any part of its output", "[operators][pool][regions]") {
  const HostTensor x = noise({2, 3, 9, 8}, 3);
  const Attributes a{{"kernel_shape", IntList{3, 2}},
                     {"strides", IntList{2, 1}},
                     {"pads", IntList{1, 1, 2, 0}},
                     {"dilations", IntList{2, 1}}};
  Attributes b = a;
  b["ceil_mode"] = b["count_include_pad"] = std::int64_t{1};
  for (const Attributes& attributes : {a, b}) {
    check_regions(OneNode("MaxPool", {x}, attributes));
    check_regions(OneNode("AveragePool", {x}, attributes));
  }
  check_regions(OneNode("MaxPool", {noise({1, 2, 5, 4, 6})}, {{"kernel_shape", IntList{2, 2, 3}}}));
  check_regions(OneNode("GlobalAveragePool", {x}));
  check_regions(OneNode("GlobalMaxPool", {x}));
}

TEST_CASE("pooling gives the same bits in any layout", "[operators][pool]") {
  Attributes attributes{{"kernel_shape", IntList{3, 3}}, {"strides", IntList{2, 1}}, {"pads", IntList{1, 1, 0, 1}}};
  for (const std::string op : {"MaxPool", "AveragePool"}) {
    const OneNode n(op, {noise({2, 7, 10, 9}, 5)}, attributes);
    const Box in = whole({2, 7, 10, 9}), out = whole(n.output().shape);
    const std::vector<float> dense = n.evaluate()[0].floats();
    std::vector<float> x(static_cast<std::size_t>(in.elements())), y(dense.size()), again(dense.size());
    const StridedView from = compute::channels_last(in, x.data()), to = compute::channels_last(out, y.data());
    const HostTensor values = noise({2, 7, 10, 9}, 5);
    compute::copy({in, values.floats().data(), compute::dense_strides(in)}, from);
    const std::vector<ConstStridedView> views{compute::readable(from)};
    operator_of(n.node()).strided(n.graph(), n.node(), views, to, compute::Sums::kFloat);
    compute::copy(compute::readable(to), {out, again.data(), compute::dense_strides(out)});
    CHECK(again == dense);
  }
}

TEST_CASE("Resize refuses what it cannot do", "[operators][resize]") {
  const HostTensor x = counted({1, 1, 2, 2});
  CHECK_THAT(refusal("Resize", {x, omitted(), scales({1, 1, 2, 2})}, resize("lanczos")), Catch::Contains("lanczos"));
  CHECK_THAT(refusal("Upsample", {x, scales({1, 1, 2, 2})}, {{"mode", std::string("cubic")}}),
             Catch::Contains("mode 'cubic'"));
  CHECK_THAT(refusal("Resize", {x}, resize("nearest")), Catch::Contains("either scales or sizes"));
  CHECK_THAT(refusal("Resize", {x, omitted(), scales({2, 2})}, resize("nearest")), Catch::Contains("2 scales"));
  CHECK_THAT(refusal("Resize", {x, omitted(), scales({1, 1, -2, 2})}, resize("nearest")), Catch::Contains("scale of"));
  CHECK_THAT(refusal("Resize", {x, omitted(), scales({1, 1, 1e30F, 2})}, resize("nearest")),
             Catch::Contains("scale of"));
  CHECK_THAT(refusal("Resize", {x, omitted(), omitted(), fixed(list({1, 1, 0, 2}))}, resize("nearest")),
             Catch::Contains("resize an extent of 2 to 0"));
  CHECK_THAT(refusal("Resize", {x, omitted(), floats({4}, {1, 1, 2, 2})}, resize("nearest")),
             Catch::Contains("not known before"));
}

TEST_CASE("Resize cubic, as the specification's examples", "[operators][resize]") {
  const auto first_row = [](const HostTensor& x, const std::vector<float>& by, const Attributes& attributes, int n) {
    auto values = resized(x, by, attributes);
    values.resize(static_cast<std::size_t>(n));
    return values;
  };
  const HostTensor x = counted({1, 1, 4, 4});
  check_near(first_row(x, {1, 1, 2, 2}, resize("cubic"), 8),
             {0.47265625F, 0.76953125F, 1.24609375F, 1.875F, 2.28125F, 2.91015625F, 3.38671875F, 3.68359375F});
  check_near(first_row(x, {1, 1, 0.8F, 0.8F}, resize("cubic"), 3), {1.47119141F, 2.78125F, 4.08251953F});
  check_near(first_row(x, {1, 1, 2, 2}, resize("cubic", "asymmetric"), 8),
             {1, 1.40625F, 2, 2.5F, 3, 3.59375F, 4, 4.09375F});
  Attributes excluding = resize("cubic");
  excluding["cubic_coeff_a"] = -0.5F;
  excluding["exclude_outside"] = std::int64_t{1};
  check_near(first_row(x, {1, 1, 2, 2}, excluding, 8),
             {0.55882353F, 0.81494204F, 1.35698249F, 1.89705882F, 2.39705882F, 2.93713516F, 3.47917561F, 3.73529412F});
  CHECK(resized(floats({1, 1, 1, 1}, {7}), {1, 1, 3, 2}, resize("cubic")) == std::vector<float>(6, 7.0F));
  // Sixteen positions an element in two axes, none for the other two.
  const OneNode n("Resize", {x, omitted(), scales({1, 1, 2, 2})}, resize("cubic"));
  CHECK(n.work()[static_cast<std::size_t>(configs::VectorOp::kAddMul)] == 16 * 64);
  check_regions(OneNode("Resize", {noise({1, 2, 7, 5}, 5), omitted(), scales({1, 1, 1.7F, 2.5F})}, resize("cubic")));
  check_regions(OneNode("Resize", {noise({1, 2, 9, 8}, 5), omitted(), scales({1, 1, 0.5F, 0.7F})}, excluding));
}

TEST_CASE("Resize nearest: what lies half between two elements is decided by nearest_mode", "[operators][resize]") {
  // Output 6 at a scale of 1.3 shows position 6.5 / 1.3 - 0.5 = 4.5, although 1.3F is a little less than 1.3.
  const HostTensor x = counted({1, 1, 1, 9});
  CHECK(resized(x, {1, 1, 1, 1.3F}, resize("nearest", "half_pixel", "round_prefer_floor")).at(6) == 5);
  CHECK(resized(x, {1, 1, 1, 1.3F}, resize("nearest", "half_pixel", "round_prefer_ceil")).at(6) == 6);
}

TEST_CASE("Resize nearest, as the specification's examples", "[operators][resize]") {
  const HostTensor small = counted({1, 1, 2, 2});
  CHECK(resized(small, {1, 1, 2, 3}, resize("nearest")) ==
        std::vector<float>{1, 1, 1, 2, 2, 2, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 3, 3, 3, 4, 4, 4});
  CHECK(resized(counted({1, 1, 2, 4}), {1, 1, 0.6F, 0.6F}, resize("nearest")) == std::vector<float>{1, 3});
  CHECK(resized_to(counted({1, 1, 2, 4}), {1, 1, 1, 3}, resize("nearest")) == std::vector<float>{1, 2, 4});
  const HostTensor x = counted({1, 1, 4, 4});
  const std::vector<float> row{1, 2, 2, 3, 3, 4, 4, 4};
  const auto ceil = resized_to(x, {1, 1, 8, 8}, resize("nearest", "half_pixel", "ceil"));
  CHECK(std::vector<float>(ceil.begin(), ceil.begin() + 8) == row);
  CHECK(ceil[8 * 7 + 7] == 16);
  const auto prefer = resized_to(x, {1, 1, 8, 8}, resize("nearest", "asymmetric", "round_prefer_ceil"));
  CHECK(std::vector<float>(prefer.begin(), prefer.begin() + 8) == row);
  const auto floor = resized_to(x, {1, 1, 8, 8}, resize("nearest", "align_corners", "floor"));
  CHECK(std::vector<float>(floor.begin() + 24, floor.begin() + 32) == std::vector<float>{5, 5, 5, 6, 6, 7, 7, 8});
}

TEST_CASE("Resize linear, as the specification's examples", "[operators][resize]") {
  const HostTensor x = counted({1, 1, 2, 2});
  check_near(resized(x, {1, 1, 2, 2}, resize("linear")),
             {1, 1.25F, 1.75F, 2, 1.5F, 1.75F, 2.25F, 2.5F, 2.5F, 2.75F, 3.25F, 3.5F, 3, 3.25F, 3.75F, 4});
  check_near(resized(x, {1, 1, 2, 2}, resize("linear", "align_corners")),
             {1, 1.33333333F, 1.66666667F, 2, 1.66666667F, 2, 2.33333333F, 2.66666667F, 2.33333333F, 2.66666667F, 3,
              3.33333333F, 3, 3.33333333F, 3.66666667F, 4});
  check_near(resized(counted({1, 1, 2, 4}), {1, 1, 0.6F, 0.6F}, resize("linear")), {2.6666665F, 4.3333331F});
  check_near(resized_to(counted({1, 1, 4, 4}), {1, 1, 3, 1}, resize("linear", "pytorch_half_pixel")),
             {1.6666666F, 7.0F, 12.333333F});
}

TEST_CASE("Upsample and the first Resize: asymmetric, floor", "[operators][resize]") {
  const HostTensor x = counted({1, 1, 1, 3});
  const std::vector<float> wanted{1, 1, 2, 2, 3, 3};
  CHECK(OneNode("Upsample", {x, scales({1, 1, 1, 2})}, {}, 1, 9).evaluate()[0].floats() == wanted);
  CHECK(OneNode("Upsample", {x}, {{"scales", std::vector<float>{1, 1, 1, 2}}}, 1, 7).evaluate()[0].floats() == wanted);
  CHECK(OneNode("Resize", {x, scales({1, 1, 1, 2})}, resize("nearest"), 1, 10).evaluate()[0].floats() == wanted);
}

TEST_CASE("Resize with axes named (opset 18)", "[operators][resize]") {
  Attributes attributes = resize("nearest");
  attributes["axes"] = IntList{-1};
  CHECK(computed("Resize", {counted({2, 2}), omitted(), scales({2})}, attributes) ==
        std::vector<float>{1, 1, 2, 2, 3, 3, 4, 4});
}

TEST_CASE("Resize on any part of its output", "[operators][resize][regions]") {
  const HostTensor x = noise({2, 2, 5, 6}, 3);
  for (const char* mode : {"nearest", "linear"}) {
    for (const char* coordinates :
         {"half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "half_pixel_symmetric"}) {
      INFO(mode << " " << coordinates);
      check_regions(OneNode("Resize", {x, omitted(), scales({1, 1, 2.3F, 0.6F})}, resize(mode, coordinates)));
      check_regions(
          OneNode("Resize", {x, omitted(), omitted(), fixed(list({2, 2, 3, 11}))}, resize(mode, coordinates)));
    }
  }
}

TEST_CASE("work of windows, by hand", "[operators][pool][resize]") {
  using configs::VectorOp;
  const auto of = [](const configs::VectorWork& work, VectorOp op) { return work[static_cast<int>(op)]; };
  const HostTensor x = noise({1, 2, 8, 8});
  const Attributes a{{"kernel_shape", IntList{2, 2}}, {"strides", IntList{2, 2}}};
  CHECK(of(OneNode("MaxPool", {x}, a).work(), VectorOp::kCompare) == 32 * 4);
  CHECK(of(OneNode("AveragePool", {x}, a).work(), VectorOp::kAddMul) == 32 * 5);
  CHECK(of(OneNode("Resize", {x, omitted(), scales({1, 1, 2, 2})}, resize("nearest")).work(), VectorOp::kMove) == 512);
  CHECK(of(OneNode("Resize", {x, omitted(), scales({1, 1, 2, 2})}, resize("linear")).work(), VectorOp::kAddMul) ==
        512 * 4);
}
