// ResNet-50 (He et al., CVPR 2016) with its batch normalisations folded into the convolutions, weights unknown; or as
// much of it as a test has time for.
#pragma once

#include <vector>

#include "tests/workloads/graph_builder.h"

namespace spillway::test {

class ResNet {
 public:
  /// `blocks` by stage; the first stage has `width` channels inside its bottlenecks.
  static workloads::Graph build(const std::vector<int>& blocks, std::int64_t width, std::int64_t image) {
    ResNet net;
    auto x = net.b_.input("image", {1, 3, image, image});
    x = net.relu(net.conv(x, width, 7, 2));
    x = net.b_.op("MaxPool", {x}, {{"kernel_shape", Ints{3, 3}}, {"strides", Ints{2, 2}}, {"pads", Ints{1, 1, 1, 1}}});
    for (std::size_t stage = 0; stage < blocks.size(); ++stage) {
      for (int k = 0; k < blocks[stage]; ++k) {
        x = net.bottleneck(x, width << stage, stage > 0 && k == 0 ? 2 : 1, k == 0);
      }
    }
    x = net.b_.op("Flatten", {net.b_.op("GlobalAveragePool", {x})});
    const std::int64_t features = net.b_.shape(x)[1];
    return net.b_.finish({net.b_.op("Gemm", {x, net.b_.missing({features, 1000}), net.b_.missing({1000})})});
  }

 private:
  using Ints = std::vector<std::int64_t>;
  using TensorId = workloads::TensorId;

  TensorId conv(TensorId x, std::int64_t channels, std::int64_t kernel, std::int64_t stride) {
    const std::int64_t pad = kernel / 2;
    return b_.op("Conv", {x, b_.missing({channels, b_.shape(x)[1], kernel, kernel}), b_.missing({channels})},
                 {{"pads", Ints{pad, pad, pad, pad}}, {"strides", Ints{stride, stride}}});
  }
  TensorId relu(TensorId x) { return b_.op("Relu", {x}); }
  TensorId bottleneck(TensorId x, std::int64_t width, std::int64_t stride, bool widens) {
    const auto inner = relu(conv(relu(conv(x, width, 1, 1)), width, 3, stride));
    return relu(b_.op("Add", {conv(inner, 4 * width, 1, 1), widens ? conv(x, 4 * width, 1, stride) : x}));
  }

  workloads::test::GraphBuilder b_;
};

}  // namespace spillway::test
