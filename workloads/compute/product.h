// Matrix products on operands of any layout, multithreaded: what Conv, MatMul and Gemm are made of.
//
// Blocks of b are packed into panels a few vectors wide, and tiles of a few rows of a times one panel are summed in
// registers (Goto and van de Geijn 2008); rows of a are read where they lie. Every element of c is summed over k in
// ascending order wherever it lies, so a result depends neither on the number of threads nor on how an output is tiled.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "workloads/compute/parallel.h"

namespace spillway::workloads::compute {

/// Brings a part of an operand into the form that the inner loops read.
class Packer {
 public:
  Packer() = default;
  Packer(const Packer&) = delete;
  Packer& operator=(const Packer&) = delete;
  virtual ~Packer() = default;

  /// Elements [k0, k0 + k) of the lines [first, first + count). As panel: to[i * width + line - first], zero for lines
  /// behind the last (count <= width). Called from several threads at once.
  virtual void panel(std::int64_t k0, std::int64_t k, std::int64_t first, std::int64_t count, std::int64_t width,
                     float* to) const = 0;
  /// As rows: to[(line - first) * k + i].
  virtual void rows(std::int64_t k0, std::int64_t k, std::int64_t first, std::int64_t count, float* to) const = 0;
};

/// Lines that lie at a constant distance.
struct Lines {
  const float* data = nullptr;
  std::int64_t line = 0;  ///< elements from one line (row of a, column of b) to the next
  std::int64_t k = 1;     ///< elements from one k to the next
};

/// Packed forms of an operand that several products read: from the second of them on they are kept.
class PackedPanels {
 public:
  /// What tells the forms of one operand apart: its first element, how many lines of how many elements, and how they
  /// lie (steps, or anything that stands for the order in which a Packer takes them).
  struct Key {
    const float* data = nullptr;
    std::int64_t lines = 0, k = 0, line_step = 0, k_step = 0;
    bool operator==(const Key&) const = default;
  };

  /// All panels, as wide as the processor's usual ones, one after the other; nullptr if this is the first time.
  [[nodiscard]] const float* of(const Key& key, const Packer& packer);

 private:
  struct Form {
    Key key;
    std::unique_ptr<Scratch> panels;
  };

  std::mutex mutex_;
  std::vector<Form> forms_;
};

/// Something that is added to every element of c; broadcast where a step is zero.
struct Addend {
  const float* data = nullptr;
  std::int64_t row = 0, column = 0;
};

/// c[i, j] = alpha * sum over k of a[i, k] b[k, j], plus bias_i[i], plus bias_j[j], plus the addends in their order,
/// each rounded; where `rectify`, 0 for what is negative then.
struct Product {
  std::int64_t m = 0, n = 0, k = 0;
  Lines a, b;
  const Packer* pack_a = nullptr;  ///< instead of `a`
  const Packer* pack_b = nullptr;  ///< instead of `b`
  PackedPanels* kept_a = nullptr;  ///< may be nullptr, as kept_b
  PackedPanels* kept_b = nullptr;
  PackedPanels::Key key_a, key_b;  ///< where kept
  float* c = nullptr;
  std::int64_t c_row = 0, c_column = 1;
  float alpha = 1.0F;
  const float* bias_i = nullptr;
  const float* bias_j = nullptr;
  std::array<Addend, 2> plus{};
  bool rectify = false;
};

/// How sums are kept: in float, as hardware does, or in double, rounded once.
enum class Sums : std::uint8_t { kFloat, kDouble };

/// All products, which must not overlap in c.
void multiply(std::span<const Product> products, Sums sums = Sums::kFloat);

}  // namespace spillway::workloads::compute
