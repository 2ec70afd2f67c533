// ResNet (He et al., CVPR 2016) as torchvision has it since "v1.5": the bottleneck's stride is in its 3x3 convolution.
// torch.onnx exports a network in evaluation mode with each batch normalisation folded into the convolution before it:
// two parameters a channel become the convolution's bias.
#include <fmt/format.h>

#include <cmath>

#include "workloads/zoo/layers.h"
#include "workloads/zoo/models.h"

namespace spillway::workloads::zoo {
namespace {

constexpr std::int64_t kColours = 3;
// A rectifier takes half of a signal's power; the weights before it give that back (He et al., ICCV 2015).
const float kRectifierGain = std::sqrt(2.0F);

/// A module that is called again has a number in the exported names.
Value relu(Builder& b, const std::string& module, const Value& x) {
  const Builder::Scope scope(b, module);
  return b.node("Relu", {x}, x.shape);
}

Value stem(Builder& b, const ResnetConfig& config, const Value& image) {
  const Value x = relu(
      b, "relu", conv(b, "conv1", image, {.channels = config.width, .kernel = 7, .stride = 2, .gain = kRectifierGain}));
  const Builder::Scope scope(b, "maxpool");
  const auto halved = [](std::int64_t size) { return (size + 2 - 3) / 2 + 1; };
  return b.node("MaxPool", {x}, {x.shape.at(0), x.shape.at(1), halved(x.shape.at(2)), halved(x.shape.at(3))},
                {{"ceil_mode", std::int64_t{0}},
                 {"kernel_shape", std::vector<std::int64_t>{3, 3}},
                 {"pads", std::vector<std::int64_t>{1, 1, 1, 1}},
                 {"strides", std::vector<std::int64_t>{2, 2}}});
}

/// `width` channels inside, four times as many outside; the first block of a stage brings the shortcut to its shape.
Value bottleneck(Builder& b, const Value& x, std::int64_t width, std::int64_t stride, bool first) {
  const std::int64_t outer = 4 * width;
  Value h = relu(b, "relu", conv(b, "conv1", x, {.channels = width, .kernel = 1, .gain = kRectifierGain}));
  h = relu(b, "relu_1",
           conv(b, "conv2", h, {.channels = width, .kernel = 3, .stride = stride, .gain = kRectifierGain}));
  h = conv(b, "conv3", h, {.channels = outer, .kernel = 1, .gain = kResidualGain});
  Value shortcut = x;
  if (first) {
    const Builder::Scope scope(b, "downsample");
    shortcut = conv(b, "downsample.0", x, {.channels = outer, .kernel = 1, .stride = stride});
  }
  return relu(b, "relu_2", b.node("Add", {h, shortcut}, h.shape));
}

}  // namespace

void build_classifier(Builder& b, const ResnetConfig& config, const Request& request) {
  Value h = stem(b, config, b.input("input", {request.batch, kColours, request.image, request.image}, b.float_type()));
  for (std::size_t i = 0; i < config.blocks.size(); ++i) {
    const std::string layer = fmt::format("layer{}", i + 1);
    const Builder::Scope stage(b, layer);
    for (std::int64_t j = 0; j < config.blocks[i]; ++j) {
      const Builder::Scope block(b, fmt::format("{}.{}", layer, j));
      h = bottleneck(b, h, config.width << i, i > 0 && j == 0 ? 2 : 1, j == 0);
    }
  }
  {
    const Builder::Scope scope(b, "avgpool");
    h = b.node("GlobalAveragePool", {h}, {h.shape.at(0), h.shape.at(1), 1, 1});
  }
  h = b.node("Flatten", {h}, {h.shape.at(0), h.shape.at(1)}, {{"axis", std::int64_t{1}}});
  b.output(gemm(b, "fc", h, config.classes), "output");
}

}  // namespace spillway::workloads::zoo
