#include "cli/tile_text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace spillway::cli {

std::string tile_text(const std::array<std::int32_t, partitioner::kMaxRank>& tile, const partitioner::Storage& root) {
  std::string text;
  for (int f = 0; f < root.rank; ++f) {
    text += fmt::format("{}{}", f == 0 ? "" : "x", tile[f]);
    if (tile[f] != root.extent[f]) text += fmt::format("/{}", root.extent[f]);
  }
  return text;
}

std::string loop_text(const partitioner::OtherLoop& loop, const partitioner::Storage& root) {
  std::vector<int> cut;
  for (const int f : loop.order) {
    if (loop.tile[f] != root.extent[f]) cut.push_back(f);
  }
  return fmt::format("{}{}, {}", tile_text(loop.tile, root),
                     cut.size() > 1 ? fmt::format(" by {}", fmt::join(cut, ", ")) : "",
                     partitioner::name_of(loop.pipelining));
}

}  // namespace spillway::cli
