// Signal processing of speech and audio models: DFT, STFT, the Hann, Hamming and Blackman windows, MelWeightMatrix
// (opset 17). Transforms run in double, halved while their length is even (Cooley and Tukey 1965).
#include <algorithm>
#include <cmath>
#include <complex>
#include <numbers>

#include "workloads/operators/families.h"
#include "workloads/operators/host.h"

namespace spillway::workloads {

namespace {

using Complex = std::complex<double>;

/// Forward transform of n values that lie `step` apart.
std::vector<Complex> transform(const Complex* x, std::size_t n, std::size_t step, double direction) {
  std::vector<Complex> y(n);
  const double turn = direction * 2.0 * std::numbers::pi / static_cast<double>(n);
  if (n > 1 && n % 2 == 0) {
    const auto even = transform(x, n / 2, 2 * step, direction);
    const auto odd = transform(x + step, n / 2, 2 * step, direction);
    for (std::size_t k = 0; k < n / 2; ++k) {
      const Complex turned = std::polar(1.0, turn * static_cast<double>(k)) * odd[k];
      y[k] = even[k] + turned;
      y[k + n / 2] = even[k] - turned;
    }
    return y;
  }
  std::vector<Complex> root(n);
  for (std::size_t k = 0; k < n; ++k) root[k] = std::polar(1.0, turn * static_cast<double>(k));
  for (std::size_t k = 0; k < n; ++k) {
    for (std::size_t i = 0; i < n; ++i) y[k] += x[i * step] * root[k * i % n];
  }
  return y;
}

/// The last axis of a signal: 1 for real values, 2 for real and imaginary parts.
void check_parts(const Node& node, const Shape& x) {
  if (x.size() >= 2 && (x.back() == 1 || x.back() == 2)) return;
  bad_node(node, "input " + to_string(x) + " should end in an axis of 1 (real) or 2 (complex)");
}

Complex element(const float* x, std::int64_t parts, std::int64_t i) {
  return parts == 1 ? Complex(x[i]) : Complex(x[2 * i], x[2 * i + 1]);
}

// --- DFT: the axis is an attribute before opset 20 and input 2 since ---

constexpr std::int64_t kLongest = std::int64_t{1} << 24;

int dft_axis(const Graph& graph, const Node& node, const HostTensor* given) {
  const auto rank = static_cast<int>(graph.input(node, 0).shape.size());
  const std::int64_t fallback = graph.opset >= 20 ? -2 : 1;
  const std::int64_t axis = given != nullptr ? integer_of(node, *given, "axis") : node.integer("axis", fallback);
  const int found = normalise_axis(node, axis, rank);
  if (found == rank - 1) bad_node(node, "its axis is that of the real and imaginary parts");
  return found;
}

std::int64_t dft_length(const Node& node, const HostTensor* given, std::int64_t fallback) {
  const std::int64_t length = given != nullptr ? integer_of(node, *given, "dft_length") : fallback;
  if (length < 1 || length > kLongest) bad_node(node, "dft_length " + std::to_string(length) + " is out of range");
  return length;
}

bool one_sided(const Node& node, std::int64_t fallback) { return node.integer("onesided", fallback) != 0; }

void infer_dft(InferContext& context) {
  check_arity(context, 1, 3);
  check_float_input(context, 0);
  const Node& node = context.node;
  const Tensor& x = context.graph.input(node, 0);
  check_parts(node, x.shape);
  const auto value = [&](int i) -> const HostTensor* {
    return context.graph.has_input(node, i) ? &known_value(context, i, "its length or axis is") : nullptr;
  };
  const int axis = dft_axis(context.graph, node, value(2));
  const std::int64_t length = dft_length(node, value(1), x.shape[static_cast<std::size_t>(axis)]);
  if (one_sided(node, 0) && node.integer("inverse", 0) != 0) bad_node(node, "is inverse and onesided at once");
  Shape shape = x.shape;
  shape[static_cast<std::size_t>(axis)] = one_sided(node, 0) ? length / 2 + 1 : length;
  shape.back() = 2;
  set_output(context, 0, x.type, std::move(shape));
}

std::vector<HostTensor> evaluate_dft(const Graph& graph, const Node& node, std::span<const HostTensor* const> inputs) {
  const HostTensor& x = *inputs[0];
  const int axis = dft_axis(graph, node, optional_input(inputs, 2));
  const std::int64_t extent = x.shape[static_cast<std::size_t>(axis)];
  const std::int64_t length = dft_length(node, optional_input(inputs, 1), extent);
  const bool inverse = node.integer("inverse", 0) != 0;
  HostTensor y = make_tensor(graph.output(node).type, graph.output(node).shape);
  const std::int64_t parts = x.shape.back();
  const std::int64_t outer = elements_of(x.shape, 0, static_cast<std::size_t>(axis));
  const std::int64_t inner = elements_of(x.shape, static_cast<std::size_t>(axis) + 1, x.shape.size() - 1);
  const std::int64_t kept = y.shape[static_cast<std::size_t>(axis)];
  std::vector<Complex> row(static_cast<std::size_t>(length));
  for (std::int64_t o = 0; o < outer; ++o) {
    for (std::int64_t i = 0; i < inner; ++i) {
      std::fill(row.begin(), row.end(), Complex());
      for (std::int64_t k = 0; k < std::min(length, extent); ++k) {
        row[static_cast<std::size_t>(k)] = element(x.floats().data(), parts, (o * extent + k) * inner + i);
      }
      const auto found = transform(row.data(), row.size(), 1, inverse ? 1.0 : -1.0);
      const double scale = inverse ? 1.0 / static_cast<double>(length) : 1.0;
      for (std::int64_t k = 0; k < kept; ++k) {
        float* to = y.floats().data() + ((o * kept + k) * inner + i) * 2;
        to[0] = static_cast<float>(found[static_cast<std::size_t>(k)].real() * scale);
        to[1] = static_cast<float>(found[static_cast<std::size_t>(k)].imag() * scale);
      }
    }
  }
  return one_result(std::move(y));
}

// --- STFT ---

struct Frames {
  std::int64_t step = 0, length = 0, count = 0, bins = 0;
};

Frames frames_of(const Node& node, const Shape& signal, const HostTensor& step, const HostTensor* window,
                 const HostTensor* length) {
  Frames f;
  f.step = integer_of(node, step, "frame_step");
  f.length = length != nullptr   ? integer_of(node, *length, "frame_length")
             : window != nullptr ? static_cast<std::int64_t>(window->held())
                                 : 0;
  if (f.step < 1 || f.length < 1 || f.length > signal[1]) {
    bad_node(node, "frames of " + std::to_string(f.length) + " every " + std::to_string(f.step) +
                       " do not go with a signal of " + to_string(signal));
  }
  if (window != nullptr && static_cast<std::int64_t>(window->held()) != f.length) {
    bad_node(node, "a window of " + std::to_string(window->held()) + " for frames of " + std::to_string(f.length));
  }
  f.count = (signal[1] - f.length) / f.step + 1;
  f.bins = one_sided(node, 1) ? f.length / 2 + 1 : f.length;
  return f;
}

void infer_stft(InferContext& context) {
  check_arity(context, 2, 4);
  check_float_input(context, 0);
  check_rank(context, 0, 3);
  const Node& node = context.node;
  const Tensor& x = context.graph.input(node, 0);
  check_parts(node, x.shape);
  const auto value = [&](int i) -> const HostTensor* {
    return context.graph.has_input(node, i) ? &known_value(context, i, "how long its frames are is") : nullptr;
  };
  const Frames f = frames_of(node, x.shape, known_value(context, 1, "its step is"), value(2), value(3));
  set_output(context, 0, x.type, {x.shape[0], f.count, f.bins, 2});
}

std::vector<HostTensor> evaluate_stft(const Graph& graph, const Node& node, std::span<const HostTensor* const> inputs) {
  const HostTensor& x = *inputs[0];
  const HostTensor* window = optional_input(inputs, 2);
  const Frames f = frames_of(node, x.shape, *inputs[1], window, optional_input(inputs, 3));
  HostTensor y = make_tensor(graph.output(node).type, graph.output(node).shape);
  const std::int64_t parts = x.shape[2];
  std::vector<Complex> frame(static_cast<std::size_t>(f.length));
  float* to = y.floats().data();
  for (std::int64_t b = 0; b < x.shape[0]; ++b) {
    for (std::int64_t k = 0; k < f.count; ++k) {
      for (std::int64_t i = 0; i < f.length; ++i) {
        const double weight = window == nullptr ? 1.0 : window->floats()[static_cast<std::size_t>(i)];
        frame[static_cast<std::size_t>(i)] =
            weight * element(x.floats().data(), parts, b * x.shape[1] + k * f.step + i);
      }
      const auto found = transform(frame.data(), frame.size(), 1, -1.0);
      for (std::int64_t i = 0; i < f.bins; ++i) {
        *to++ = static_cast<float>(found[static_cast<std::size_t>(i)].real());
        *to++ = static_cast<float>(found[static_cast<std::size_t>(i)].imag());
      }
    }
  }
  return one_result(std::move(y));
}

// --- windows: a0 - a1 cos(2 pi n / N) + a2 cos(4 pi n / N), N one less if not periodic ---

void infer_window(InferContext& context) {
  check_arity(context, 1, 1);
  const std::int64_t size = integer_of(context.node, known_value(context, 0, "its size is"), "size");
  if (size < 0 || size > kLongest) bad_node(context.node, "size " + std::to_string(size) + " is out of range");
  set_output(context, 0, data_type_of(context.node, context.node.integer("output_datatype", 1)), {size});
}

struct Cosines {
  double a0, a1, a2;
};

Cosines cosines_of(const std::string& op) {
  if (op == "HannWindow") return {0.5, 0.5, 0.0};
  if (op == "HammingWindow") return {25.0 / 46.0, 21.0 / 46.0, 0.0};
  return {0.42, 0.5, 0.08};
}

std::vector<HostTensor> evaluate_window(const Graph& graph, const Node& node, std::span<const HostTensor* const>) {
  const Cosines c = cosines_of(node.op);
  HostTensor y = make_tensor(graph.output(node).type, graph.output(node).shape);
  const std::int64_t size = y.shape[0];
  const auto period =
      static_cast<double>(std::max<std::int64_t>(1, node.integer("periodic", 1) != 0 ? size : size - 1));
  const auto fill = [&]<typename T>(std::vector<T>& values) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double angle = 2.0 * std::numbers::pi * static_cast<double>(i) / period;
      values[i] = static_cast<T>(c.a0 - c.a1 * std::cos(angle) + c.a2 * std::cos(2.0 * angle));
    }
  };
  std::visit(fill, y.data);
  return one_result(std::move(y));
}

// --- MelWeightMatrix ---

struct Mel {
  std::int64_t bands = 0, length = 0, rate = 0;
  double low = 0, high = 0;
};

Mel mel_of(const Node& node, std::span<const HostTensor* const> inputs) {
  Mel mel{integer_of(node, *inputs[0], "num_mel_bins"), integer_of(node, *inputs[1], "dft_length"),
          integer_of(node, *inputs[2], "sample_rate"), scalar_of(node, *inputs[3], "lower_edge_hertz"),
          scalar_of(node, *inputs[4], "upper_edge_hertz")};
  const bool legal = mel.bands >= 1 && mel.bands < kLongest && mel.length >= 1 && mel.length < kLongest &&
                     mel.rate >= 1 && mel.low >= 0 && mel.high >= mel.low &&
                     mel.high <= static_cast<double>(mel.rate) / 2;
  if (!legal) bad_node(node, "its bins, length, rate and edges do not go together");
  return mel;
}

void infer_mel(InferContext& context) {
  check_arity(context, 5, 5);
  std::vector<const HostTensor*> values;
  for (int i = 0; i < 5; ++i) values.push_back(&known_value(context, i, "its parameters are"));
  const Mel mel = mel_of(context.node, values);
  set_output(context, 0, data_type_of(context.node, context.node.integer("output_datatype", 1)),
             {mel.length / 2 + 1, mel.bands});
}

std::vector<HostTensor> evaluate_mel(const Graph& graph, const Node& node, std::span<const HostTensor* const> inputs) {
  const Mel mel = mel_of(node, inputs);
  const std::int64_t bins = mel.length / 2 + 1;
  const auto to_mel = [](double hertz) { return 2595.0 * std::log10(1.0 + hertz / 700.0); };
  const double step = (to_mel(mel.high) - to_mel(mel.low)) / static_cast<double>(mel.bands + 2);
  std::vector<std::int64_t> edge;
  for (std::int64_t i = 0; i < mel.bands + 2; ++i) {
    const double hertz = 700.0 * (std::pow(10.0, (static_cast<double>(i) * step + to_mel(mel.low)) / 2595.0) - 1.0);
    const double bin = std::floor(static_cast<double>(mel.length + 1) * hertz / static_cast<double>(mel.rate));
    edge.push_back(std::clamp<std::int64_t>(static_cast<std::int64_t>(bin), 0, bins - 1));
  }
  HostTensor y = make_tensor(DataType::kFloat32, {bins, mel.bands});
  const auto at = [&](std::int64_t bin, std::int64_t band) -> float& {
    return y.floats()[static_cast<std::size_t>(bin * mel.bands + band)];
  };
  for (std::int64_t i = 0; i < mel.bands; ++i) {
    const std::int64_t low = edge[static_cast<std::size_t>(i)];
    const std::int64_t middle = edge[static_cast<std::size_t>(i) + 1];
    const std::int64_t high = edge[static_cast<std::size_t>(i) + 2];
    if (middle == low) at(middle, i) = 1.0F;
    for (std::int64_t j = low; j <= middle && middle > low; ++j) {
      at(j, i) = static_cast<float>(j - low) / static_cast<float>(middle - low);
    }
    for (std::int64_t j = middle; j < high; ++j)
      at(j, i) = static_cast<float>(high - j) / static_cast<float>(high - middle);
  }
  return one_result(held_as(std::move(y), graph.output(node).type));
}

constexpr OpDef kOperators[] = {
    host_operator("DFT", infer_dft, evaluate_dft),
    host_operator("STFT", infer_stft, evaluate_stft),
    host_operator("HannWindow", infer_window, evaluate_window, true),
    host_operator("HammingWindow", infer_window, evaluate_window, true),
    host_operator("BlackmanWindow", infer_window, evaluate_window, true),
    host_operator("MelWeightMatrix", infer_mel, evaluate_mel, true),
};

}  // namespace

std::span<const OpDef> signal_operators() { return kOperators; }

}  // namespace spillway::workloads
