// One format of elements in memory, with the scale if they are integers that stand for real numbers: to floats and
// back, an array at a time.
#pragma once

#include <cstddef>

#include "configs/configs.h"
#include "workloads/quantiser.h"

namespace spillway::simulator {

class ElementCodec {
 public:
  /// Floats as the format rounds them; integers as the whole numbers they are.
  explicit ElementCodec(configs::Format format);
  /// kInt8 or kInt16.
  ElementCodec(configs::Format format, const workloads::Quantiser& quantiser) : format_(format), grid_(quantiser) {}

  [[nodiscard]] std::int64_t bytes() const { return configs::bytes_of(format_); }
  /// `step` elements apart in memory.
  void read(std::int64_t n, const std::byte* from, std::int64_t step, float* to) const;
  void write(std::int64_t n, const float* from, std::byte* to, std::int64_t step) const;
  /// In place: to what the format can hold.
  void round(std::int64_t n, float* values) const;

 private:
  void read(std::int64_t n, const std::byte* from, float* to) const;
  void write(std::int64_t n, const float* from, std::byte* to) const;

  configs::Format format_;
  workloads::Quantiser grid_;
};

}  // namespace spillway::simulator
