// GridSample (opset 16; any number of spatial axes since 20): the value of a picture at the places that a grid names.
#include <algorithm>
#include <cmath>

#include "workloads/operators/families.h"
#include "workloads/operators/host.h"

namespace spillway::workloads {

namespace {

enum class Mode : std::uint8_t { kNearest, kLinear, kCubic };
enum class Padding : std::uint8_t { kZeros, kBorder, kReflection };

Mode mode_of(const Node& node) {
  const std::string mode = node.text("mode", "bilinear");
  if (mode == "nearest") return Mode::kNearest;
  if (mode == "bilinear" || mode == "linear") return Mode::kLinear;
  if (mode == "bicubic" || mode == "cubic") return Mode::kCubic;
  bad_node(node, "mode '" + mode + "' is not one of nearest, linear, cubic");
}

Padding padding_of(const Node& node) {
  const std::string padding = node.text("padding_mode", "zeros");
  if (padding == "zeros") return Padding::kZeros;
  if (padding == "border") return Padding::kBorder;
  if (padding == "reflection") return Padding::kReflection;
  bad_node(node, "padding_mode '" + padding + "' is not one of zeros, border, reflection");
}

void infer(InferContext& context) {
  check_arity(context, 2, 2);
  check_float_input(context, 0);
  check_float_input(context, 1);
  const Node& node = context.node;
  const Tensor& x = context.graph.input(node, 0);
  const Shape& grid = context.graph.input(node, 1).shape;
  static_cast<void>(padding_of(node));
  static_cast<void>(mode_of(node));
  const auto rank = x.shape.size();
  if (rank < 3 || grid.size() != rank || grid[0] != x.shape[0] || grid.back() != static_cast<std::int64_t>(rank) - 2) {
    bad_node(node, "grid " + to_string(grid) + " does not go with a picture of " + to_string(x.shape));
  }
  Shape shape{x.shape[0], x.shape[1]};
  shape.insert(shape.end(), grid.begin() + 1, grid.end() - 1);
  set_output(context, 0, x.type, std::move(shape));
}

/// Mirrored at `low` and `high` until it lies between them.
double reflected(double x, double low, double high) {
  const double span = high - low;
  if (!(span > 0)) return 0.0;
  const double distance = std::fmod(std::abs(x - low), 2 * span);
  return low + (distance <= span ? distance : 2 * span - distance);
}

/// Where one axis takes its value from: positions, -1 for outside, and their weights.
struct Taps {
  int count = 0;
  std::array<std::int64_t, 4> at{};
  std::array<double, 4> weight{};
};

class Axis {
 public:
  Axis(std::int64_t extent, Mode mode, Padding padding, bool align)
      : extent_(extent), mode_(mode), padding_(padding), align_(align) {}

  [[nodiscard]] Taps taps(double normalised) const {
    const auto n = static_cast<double>(extent_);
    double x = align_ ? (normalised + 1) / 2 * (n - 1) : ((normalised + 1) * n - 1) / 2;
    Taps taps;
    if (!std::isfinite(x) || std::abs(x) > 1e15) x = -1e9;
    if (mode_ == Mode::kNearest) {
      taps.count = 1;
      taps.at[0] = inside(std::nearbyint(mode_ == Mode::kNearest ? padded(x) : x));
      taps.weight[0] = 1;
      return taps;
    }
    const double base = std::floor(x);
    const double t = x - base;
    if (mode_ == Mode::kLinear) {
      taps.count = 2;
      taps.weight = {1 - t, t};
    } else {
      taps.count = 4;
      for (int k = 0; k < 4; ++k) taps.weight[k] = cubic(t + 1 - k);
    }
    const int before = mode_ == Mode::kLinear ? 0 : 1;
    for (int k = 0; k < taps.count; ++k) taps.at[k] = inside(std::nearbyint(padded(base + k - before)));
    return taps;
  }

 private:
  /// Keys' kernel with the coefficient -0.75 that ONNX names.
  static double cubic(double distance) {
    constexpr double kA = -0.75;
    const double x = std::abs(distance);
    if (x <= 1) return ((kA + 2) * x - (kA + 3)) * x * x + 1;
    return ((kA * x - 5 * kA) * x + 8 * kA) * x - 4 * kA;
  }

  [[nodiscard]] double padded(double x) const {
    const auto n = static_cast<double>(extent_);
    if (padding_ == Padding::kZeros) return x;
    if (padding_ == Padding::kReflection) x = align_ ? reflected(x, 0, n - 1) : reflected(x, -0.5, n - 0.5);
    return std::clamp(x, 0.0, n - 1);
  }

  [[nodiscard]] std::int64_t inside(double x) const {
    return x >= 0 && x < static_cast<double>(extent_) ? static_cast<std::int64_t>(x) : -1;
  }

  std::int64_t extent_;
  Mode mode_;
  Padding padding_;
  bool align_;
};

std::vector<HostTensor> evaluate(const Graph& graph, const Node& node, std::span<const HostTensor* const> inputs) {
  const HostTensor& x = *inputs[0];
  const HostTensor& grid = *inputs[1];
  HostTensor y = make_tensor(graph.output(node).type, graph.output(node).shape);
  const auto dims = x.shape.size() - 2;
  std::vector<Axis> axes;
  for (std::size_t d = 0; d < dims; ++d) {
    axes.emplace_back(x.shape[d + 2], mode_of(node), padding_of(node), node.integer("align_corners", 0) != 0);
  }
  const std::int64_t plane = elements_of(x.shape, 2, x.shape.size());
  const std::int64_t points = elements_of(y.shape, 2, y.shape.size());
  std::vector<Taps> taps(dims);
  std::vector<std::pair<std::int64_t, double>> sources;  // of one point: position in the plane, weight
  for (std::int64_t n = 0; n < x.shape[0]; ++n) {
    for (std::int64_t p = 0; p < points; ++p) {
      const float* place = grid.floats().data() + (n * points + p) * static_cast<std::int64_t>(dims);
      sources.assign(1, {0, 1.0});
      for (std::size_t d = 0; d < dims; ++d) {  // the grid names the last axis first
        const Taps tap = axes[d].taps(place[dims - 1 - d]);
        std::vector<std::pair<std::int64_t, double>> next;
        for (const auto& [at, weight] : sources) {
          for (int k = 0; k < tap.count; ++k) {
            if (tap.at[k] >= 0) next.emplace_back(at * x.shape[d + 2] + tap.at[k], weight * tap.weight[k]);
          }
        }
        sources = std::move(next);
      }
      for (std::int64_t c = 0; c < x.shape[1]; ++c) {
        const float* from = x.floats().data() + (n * x.shape[1] + c) * plane;
        double sum = 0;
        for (const auto& [at, weight] : sources) sum += weight * from[at];
        y.floats()[static_cast<std::size_t>((n * x.shape[1] + c) * points + p)] = static_cast<float>(sum);
      }
    }
  }
  return one_result(std::move(y));
}

constexpr OpDef kOperators[] = {
    host_operator("GridSample", infer, evaluate),
};

}  // namespace

std::span<const OpDef> grid_sample_operators() { return kOperators; }

}  // namespace spillway::workloads
