#include "simulator/run_cursor.h"

#include <algorithm>

namespace spillway::simulator {

RunCursor::RunCursor(const partitioner::Operand& operand) {
  const workloads::Box& box = operand.box;
  if (box.empty()) return;
  done_ = false;
  run_ = operand.element_bytes();
  outer_ = box.rank;
  while (outer_ > 0 && (box.extent[outer_ - 1] == 1 || operand.at.stride[outer_ - 1] == run_)) {
    run_ *= box.extent[outer_ - 1];
    --outer_;
  }
  address_ = operand.at.origin;
  for (int d = 0; d < box.rank; ++d) address_ += operand.at.stride[d] * box.begin[d];
  std::copy_n(box.extent.begin(), outer_, extent_.begin());
  std::copy_n(operand.at.stride.begin(), outer_, stride_.begin());
}

RunCursor::Piece RunCursor::take(configs::Bytes limit) {
  const Piece piece{address_ + taken_, std::min(limit, run_ - taken_)};
  taken_ += piece.bytes;
  if (taken_ < run_) return piece;
  taken_ = 0;
  int d = outer_ - 1;
  for (; d >= 0; --d) {
    address_ += stride_[d];
    if (++index_[d] < extent_[d]) break;
    address_ -= stride_[d] * extent_[d];
    index_[d] = 0;
  }
  done_ = d < 0;
  return piece;
}

}  // namespace spillway::simulator
