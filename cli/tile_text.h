// Tiles and loops in words.
#pragma once

#include <string>

#include "partitioner/explain.h"

namespace spillway::cli {

/// "1x32/512x512x128": extents, each over the whole where it is cut.
[[nodiscard]] std::string tile_text(const std::array<std::int32_t, partitioner::kMaxRank>& tile,
                                    const partitioner::Storage& root);
/// "1x32/512x512x64/128 by 3, 1, double": the tile, the cut factors from the outermost loop on where there are several,
/// the buffering.
[[nodiscard]] std::string loop_text(const partitioner::OtherLoop& loop, const partitioner::Storage& root);

}  // namespace spillway::cli
