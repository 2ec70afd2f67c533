// Operators of object detectors: NonMaxSuppression, RoiAlign, MaxRoiPool.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "workloads/operators/families.h"
#include "workloads/operators/host.h"

namespace spillway::workloads {

namespace {

// --- NonMaxSuppression ---

struct Corners {
  float y0, x0, y1, x1;
  [[nodiscard]] float area() const { return (y1 - y0) * (x1 - x0); }
};

Corners corners_of(const float* box, bool center) {
  if (center) {  // x, y, width, height
    return {box[1] - box[3] / 2, box[0] - box[2] / 2, box[1] + box[3] / 2, box[0] + box[2] / 2};
  }
  return {std::min(box[0], box[2]), std::min(box[1], box[3]), std::max(box[0], box[2]), std::max(box[1], box[3])};
}

/// Whether the intersection is more than `threshold` of the union.
bool overlap(const Corners& a, const Corners& b, float threshold) {
  const float height = std::min(a.y1, b.y1) - std::max(a.y0, b.y0);
  const float width = std::min(a.x1, b.x1) - std::max(a.x0, b.x0);
  if (height <= 0 || width <= 0 || a.area() <= 0 || b.area() <= 0) return false;
  const float common = height * width;
  return common / (a.area() + b.area() - common) > threshold;
}

/// Rows of (batch, class, box): best score first, the lower box where scores are equal.
std::vector<std::int64_t> suppressed(const Node& node, std::span<const HostTensor* const> inputs) {
  const HostTensor& boxes = *inputs[0];
  const HostTensor& scores = *inputs[1];
  const auto parameter = [&](std::size_t i) { return optional_input(inputs, i); };
  const std::int64_t most = parameter(2) != nullptr ? integer_of(node, *parameter(2), "max_output_boxes_per_class") : 0;
  const auto iou = parameter(3) != nullptr ? static_cast<float>(scalar_of(node, *parameter(3), "iou_threshold")) : 0.0F;
  const auto least = parameter(4) != nullptr ? static_cast<float>(scalar_of(node, *parameter(4), "score_threshold"))
                                             : -std::numeric_limits<float>::infinity();
  const bool center = node.integer("center_point_box", 0) != 0;
  const std::int64_t count = boxes.shape[1];
  std::vector<std::int64_t> rows;
  for (std::int64_t b = 0; b < scores.shape[0]; ++b) {
    for (std::int64_t c = 0; c < scores.shape[1]; ++c) {
      const float* score = scores.floats().data() + (b * scores.shape[1] + c) * count;
      std::vector<std::int64_t> order;
      for (std::int64_t i = 0; i < count; ++i) {
        if (parameter(4) == nullptr || score[i] > least) order.push_back(i);
      }
      std::stable_sort(order.begin(), order.end(), [&](auto i, auto j) { return score[i] > score[j]; });
      std::vector<Corners> taken;
      for (const std::int64_t i : order) {
        if (static_cast<std::int64_t>(taken.size()) >= most) break;
        const Corners box = corners_of(boxes.floats().data() + (b * count + i) * 4, center);
        if (std::any_of(taken.begin(), taken.end(), [&](const Corners& t) { return overlap(box, t, iou); })) continue;
        taken.push_back(box);
        rows.insert(rows.end(), {b, c, i});
      }
    }
  }
  return rows;
}

void infer_suppression(InferContext& context) {
  check_arity(context, 2, 5);
  check_rank(context, 0, 3);
  check_rank(context, 1, 3);
  const Shape& boxes = context.graph.input(context.node, 0).shape;
  const Shape& scores = context.graph.input(context.node, 1).shape;
  if (boxes[0] != scores[0] || boxes[1] != scores[2] || boxes[2] != 4) {
    bad_node(context.node, "boxes " + to_string(boxes) + " do not go with scores " + to_string(scores));
  }
  std::vector<const HostTensor*> values;
  for (int i = 0; i < static_cast<int>(context.node.inputs.size()); ++i) {
    const bool there = context.graph.has_input(context.node, i);
    values.push_back(there ? &known_value(context, i, "how many boxes remain is") : nullptr);
  }
  for (int i = 0; i < 2; ++i) check_float_input(context, i);
  set_output(context, 0, DataType::kInt64, {static_cast<std::int64_t>(suppressed(context.node, values).size()) / 3, 3});
}

std::vector<HostTensor> evaluate_suppression(const Graph&, const Node& node,
                                             std::span<const HostTensor* const> inputs) {
  auto rows = suppressed(node, inputs);
  const auto count = static_cast<std::int64_t>(rows.size()) / 3;
  return one_result(HostTensor{DataType::kInt64, {count, 3}, std::move(rows)});
}

// --- RoiAlign (He et al., Mask R-CNN, 2017) ---

void infer_roi_align(InferContext& context) {
  check_arity(context, 3, 3);
  check_rank(context, 0, 4);
  check_rank(context, 1, 2);
  check_float_input(context, 0);
  check_float_input(context, 1);
  check_integer_input(context, 2);
  const Node& node = context.node;
  const Tensor& x = context.graph.input(node, 0);
  const Shape& rois = context.graph.input(node, 1).shape;
  if (rois[1] != 4 || context.graph.input(node, 2).shape != Shape{rois[0]}) {
    bad_node(node, "rois " + to_string(rois) + " do not go with batch indices " +
                       to_string(context.graph.input(node, 2).shape));
  }
  const std::int64_t height = node.integer("output_height", 1);
  const std::int64_t width = node.integer("output_width", 1);
  if (height < 1 || width < 1) bad_node(node, "its output extent is not positive");
  if (const std::string mode = node.text("mode", "avg"); mode != "avg" && mode != "max") {
    bad_node(node, "mode '" + mode + "' is not one of avg, max");
  }
  set_output(context, 0, x.type, {rois[0], x.shape[1], height, width});
}

/// The four elements around a sampling point and their weights; no taps outside the picture.
struct Sample {
  int taps = 0;
  std::array<std::int64_t, 4> at{};
  std::array<float, 4> weight{};
};

Sample sample_at(float y, float x, std::int64_t height, std::int64_t width) {
  Sample s;
  if (y < -1.0F || y > static_cast<float>(height) || x < -1.0F || x > static_cast<float>(width)) return s;
  const auto axis = [](float& v, std::int64_t extent, std::int64_t& low, std::int64_t& high) {
    v = std::max(v, 0.0F);
    low = static_cast<std::int64_t>(v);
    high = low + 1;
    if (low >= extent - 1) {
      low = high = extent - 1;
      v = static_cast<float>(low);
    }
  };
  std::int64_t y0 = 0;
  std::int64_t y1 = 0;
  std::int64_t x0 = 0;
  std::int64_t x1 = 0;
  axis(y, height, y0, y1);
  axis(x, width, x0, x1);
  const float ly = y - static_cast<float>(y0);
  const float lx = x - static_cast<float>(x0);
  s.taps = 4;
  s.at = {y0 * width + x0, y0 * width + x1, y1 * width + x0, y1 * width + x1};
  s.weight = {(1 - ly) * (1 - lx), (1 - ly) * lx, ly * (1 - lx), ly * lx};
  return s;
}

std::vector<HostTensor> evaluate_roi_align(const Graph& graph, const Node& node,
                                           std::span<const HostTensor* const> inputs) {
  const HostTensor& x = *inputs[0];
  HostTensor y = make_tensor(graph.output(node).type, graph.output(node).shape);
  const std::int64_t channels = x.shape[1];
  const std::int64_t height = x.shape[2];
  const std::int64_t width = x.shape[3];
  const std::int64_t rows = y.shape[2];
  const std::int64_t columns = y.shape[3];
  const bool largest = node.text("mode", "avg") == "max";
  // Opset 10 has no such attribute and means output_half_pixel.
  const bool half_pixel = node.text("coordinate_transformation_mode",
                                    graph.opset >= 16 ? "half_pixel" : "output_half_pixel") == "half_pixel";
  const float scale = node.real("spatial_scale", 1.0F);
  const std::int64_t ratio = node.integer("sampling_ratio", 0);
  const float offset = half_pixel ? 0.5F : 0.0F;
  for (std::int64_t r = 0; r < y.shape[0]; ++r) {
    const float* roi = inputs[1]->floats().data() + r * 4;
    const std::int64_t sample = inputs[2]->ints()[static_cast<std::size_t>(r)];
    if (sample < 0 || sample >= x.shape[0])
      bad_node(node, "batch index " + std::to_string(sample) + " is out of range");
    const float left = roi[0] * scale - offset;
    const float top = roi[1] * scale - offset;
    float roi_width = roi[2] * scale - offset - left;
    float roi_height = roi[3] * scale - offset - top;
    if (!half_pixel) {
      roi_width = std::max(roi_width, 1.0F);
      roi_height = std::max(roi_height, 1.0F);
    }
    const float bin_height = roi_height / static_cast<float>(rows);
    const float bin_width = roi_width / static_cast<float>(columns);
    constexpr float kMost = 4096.0F;  // samples of a bin and axis; a region of interest is data and may be anything
    const auto points = [&](float bin) {
      const float wanted = ratio > 0 ? static_cast<float>(ratio) : std::ceil(bin);
      if (!(wanted <= kMost)) bad_node(node, "a region needs over 4096 samples a bin");
      return static_cast<std::int64_t>(wanted);
    };
    const std::int64_t grid_y = points(bin_height);
    const std::int64_t grid_x = points(bin_width);
    for (std::int64_t i = 0; i < rows; ++i) {
      for (std::int64_t j = 0; j < columns; ++j) {
        std::vector<Sample> samples;
        for (std::int64_t a = 0; a < grid_y; ++a) {
          const float at_y =
              top + (static_cast<float>(i) + (static_cast<float>(a) + 0.5F) / static_cast<float>(grid_y)) * bin_height;
          for (std::int64_t b = 0; b < grid_x; ++b) {
            const float at_x =
                left +
                (static_cast<float>(j) + (static_cast<float>(b) + 0.5F) / static_cast<float>(grid_x)) * bin_width;
            samples.push_back(sample_at(at_y, at_x, height, width));
          }
        }
        for (std::int64_t c = 0; c < channels; ++c) {
          const float* plane = x.floats().data() + (sample * channels + c) * height * width;
          double sum = 0.0;
          float most = 0.0F;
          bool any = false;
          for (const Sample& s : samples) {
            for (int k = 0; k < s.taps; ++k) {
              const float v = s.weight[k] * plane[s.at[k]];
              sum += v;
              most = any ? std::max(most, v) : v;  // over the weighted taps, as runtimes do
              any = true;
            }
          }
          const double mean = samples.empty() ? 0.0 : sum / static_cast<double>(samples.size());
          y.floats()[static_cast<std::size_t>(((r * channels + c) * rows + i) * columns + j)] =
              largest ? most : static_cast<float>(mean);
        }
      }
    }
  }
  return one_result(std::move(y));
}

// --- MaxRoiPool (Girshick, Fast R-CNN, 2015): rois are (batch, x0, y0, x1, y1), bounds included ---

void infer_max_roi_pool(InferContext& context) {
  check_arity(context, 2, 2);
  check_rank(context, 0, 4);
  check_rank(context, 1, 2);
  check_float_input(context, 0);
  check_float_input(context, 1);
  const Tensor& x = context.graph.input(context.node, 0);
  const Shape& rois = context.graph.input(context.node, 1).shape;
  const auto pooled = context.node.integers("pooled_shape");
  if (rois[1] != 5 || pooled.size() != 2 || pooled[0] < 1 || pooled[1] < 1) {
    bad_node(context.node, "rois should have 5 columns and pooled_shape two positive extents");
  }
  set_output(context, 0, x.type, {rois[0], x.shape[1], pooled[0], pooled[1]});
}

std::vector<HostTensor> evaluate_max_roi_pool(const Graph& graph, const Node& node,
                                              std::span<const HostTensor* const> inputs) {
  const HostTensor& x = *inputs[0];
  HostTensor y = make_tensor(graph.output(node).type, graph.output(node).shape);
  const float scale = node.real("spatial_scale", 1.0F);
  const auto [height, width] = std::pair{x.shape[2], x.shape[3]};
  auto* out = y.floats().data();
  for (std::int64_t r = 0; r < y.shape[0]; ++r) {
    const float* roi = inputs[1]->floats().data() + r * 5;
    const double sample = roi[0];
    if (!(sample >= 0 && sample < static_cast<double>(x.shape[0]))) bad_node(node, "a batch index is out of range");
    const auto pixel = [&](int k) { return std::clamp(std::round(roi[k] * scale), -1e6F, 1e6F); };
    const auto range = [&](int from, int to, std::int64_t bins, std::int64_t bin, std::int64_t extent) {
      const float size = std::max(pixel(to) - pixel(from) + 1.0F, 1.0F) / static_cast<float>(bins);
      const auto limit = [&](float v) {
        return std::clamp<std::int64_t>(static_cast<std::int64_t>(v + pixel(from)), 0, extent);
      };
      return std::pair{limit(std::floor(static_cast<float>(bin) * size)),
                       limit(std::ceil(static_cast<float>(bin + 1) * size))};
    };
    for (std::int64_t c = 0; c < x.shape[1]; ++c) {
      const float* plane = x.floats().data() + (static_cast<std::int64_t>(sample) * x.shape[1] + c) * height * width;
      for (std::int64_t i = 0; i < y.shape[2]; ++i) {
        const auto [top, bottom] = range(2, 4, y.shape[2], i, height);
        for (std::int64_t j = 0; j < y.shape[3]; ++j) {
          const auto [left, right] = range(1, 3, y.shape[3], j, width);
          float most = -std::numeric_limits<float>::infinity();
          for (std::int64_t a = top; a < bottom; ++a) {
            for (std::int64_t b = left; b < right; ++b) most = std::max(most, plane[a * width + b]);
          }
          *out++ = bottom > top && right > left ? most : 0.0F;
        }
      }
    }
  }
  return one_result(std::move(y));
}

constexpr OpDef kOperators[] = {
    host_operator("NonMaxSuppression", infer_suppression, evaluate_suppression),
    host_operator("RoiAlign", infer_roi_align, evaluate_roi_align),
    host_operator("MaxRoiPool", infer_max_roi_pool, evaluate_max_roi_pool),
};

}  // namespace

std::span<const OpDef> detection_operators() { return kOperators; }

}  // namespace spillway::workloads
