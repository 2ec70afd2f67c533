#include "workloads/compute/product.h"

#include <algorithm>
#include <vector>

#include "workloads/compute/parallel.h"
#include "workloads/compute/simd.h"

namespace spillway::workloads::compute {

namespace {

/// Lines at a constant distance, as packed operand.
class LinePacker final : public Packer {
 public:
  explicit LinePacker(const Lines& lines) : lines_(lines) {}

  void panel(std::int64_t k0, std::int64_t k, std::int64_t first, std::int64_t count, std::int64_t width,
             float* to) const override {
    const float* from = lines_.data + first * lines_.line + k0 * lines_.k;
    if (lines_.line == 1) return simd().pack(k, from, lines_.k, count, width, to);
    if (lines_.k == 1) {
      simd().transpose(count, k, from, lines_.line, to, width);
      if (count == width) return;
      for (std::int64_t i = 0; i < k; ++i) std::fill(to + i * width + count, to + (i + 1) * width, 0.0F);
      return;
    }
    for (std::int64_t i = 0; i < k; ++i) {
      float* row = to + i * width;
      for (std::int64_t j = 0; j < count; ++j) row[j] = from[i * lines_.k + j * lines_.line];
      std::fill(row + count, row + width, 0.0F);
    }
  }

  void rows(std::int64_t k0, std::int64_t k, std::int64_t first, std::int64_t count, float* to) const override {
    const float* from = lines_.data + first * lines_.line + k0 * lines_.k;
    if (lines_.line == 1) {
      simd().transpose(k, count, from, lines_.k, to, k);
      return;
    }
    for (std::int64_t j = 0; j < count; ++j) {
      if (lines_.k == 1) {
        std::copy_n(from + j * lines_.line, k, to + j * k);
      } else {
        for (std::int64_t i = 0; i < k; ++i) to[j * k + i] = from[j * lines_.line + i * lines_.k];
      }
    }
  }

 private:
  Lines lines_;
};

struct Panel {
  std::int64_t first = 0, count = 0;
  int vectors = 0;
};

/// Cuts `n` columns into panels of two vectors; what is left over widens the last one where registers allow.
std::vector<Panel> panels_of(std::int64_t n, const Simd& s) {
  std::vector<Panel> panels;
  const std::int64_t usual = std::int64_t{2} * s.lanes;
  for (std::int64_t at = 0; at < n;) {
    const std::int64_t left = n - at;
    Panel panel{at, std::min(left, usual), 2};
    if (left <= s.lanes) {
      panel.vectors = 1;
    } else if (s.panel_vectors > 2 && left > usual && left <= usual + s.lanes) {
      panel = {at, left, 3};
    }
    panels.push_back(panel);
    at += panel.count;
  }
  return panels;
}

/// The same as PackedPanels keeps them, wherever the columns begin.
std::vector<Panel> kept_panels_of(std::int64_t n, const Simd& s) {
  std::vector<Panel> panels;
  const std::int64_t usual = std::int64_t{2} * s.lanes;
  for (std::int64_t at = 0; at < n; at += usual) {
    panels.push_back({at, std::min(n - at, usual), n - at <= s.lanes ? 1 : 2});
  }
  return panels;
}

std::int64_t width_of(const Panel& panel, const Simd& s) { return std::int64_t{panel.vectors} * s.lanes; }

/// Of whole lines: the panel whose first line is `first` lies at [first * k].
std::int64_t packed_size(const std::vector<Panel>& panels, std::int64_t k, const Simd& s) {
  return panels.empty() ? 0 : (panels.back().first + width_of(panels.back(), s)) * k;
}

/// On all cores.
void pack_all(const Packer& packer, const std::vector<Panel>& panels, std::int64_t k, std::int64_t depth, const Simd& s,
              float* to) {
  const auto count = static_cast<std::int64_t>(panels.size());
  const std::int64_t steps = (k + depth - 1) / depth;
  parallel_for(count * steps, [&](std::int64_t i) {
    const Panel& panel = panels[static_cast<std::size_t>(i / steps)];
    const std::int64_t k0 = i % steps * depth, width = width_of(panel, s);
    packer.panel(k0, std::min(depth, k - k0), panel.first, panel.count, width, to + panel.first * k + k0 * width);
  });
}

/// A part of one product that one thread computes.
struct Task {
  const Product* product = nullptr;
  const float* packed = nullptr;  ///< all panels of b, if they are packed already
  std::int64_t row = 0, rows = 0;
  std::vector<Panel> panels;  ///< adjacent ones
};

constexpr std::int64_t kBlockK = 384;        // a panel of it stays in the first cache
constexpr std::int64_t kBlockColumns = 320;  // of b, packed: in the second cache
constexpr std::int64_t kBlockRows = 560;     // of a
constexpr int kSets = 64 * 16;               // rows this many floats apart meet in the same sets of the first cache

class Worker {
 public:
  Worker(const Task& task, Sums sums) : task_(task), p_(*task.product), s_(simd()), sums_(sums) {
    column_ = task.panels.front().first;
    columns_ = task.panels.back().first + task.panels.back().count - column_;
  }

  void run() {
    const bool packed = task_.packed != nullptr;
    const std::int64_t depth = sums_ == Sums::kDouble ? std::max<std::int64_t>(p_.k, 1) : std::min(kBlockK, p_.k);
    std::int64_t widest = 0;
    for (const Panel& panel : task_.panels) widest = std::max(widest, width_of(panel, s_));
    // Sums over several blocks of k go through c itself where its columns are adjacent.
    const bool blocked = depth < p_.k;
    through_buffer_ = p_.c_column != 1;
    const Scratch packed_b(packed ? 0 : widest * std::max<std::int64_t>(depth, 1));
    const bool pack_rows = p_.pack_a != nullptr || p_.a.k != 1 || (p_.a.line % kSets == 0 && p_.k > 64);
    const Scratch packed_a(pack_rows ? task_.rows * std::max<std::int64_t>(depth, 1) : 0);
    const Scratch buffer(through_buffer_ && blocked ? task_.rows * columns_ : 0);
    const LinePacker lines_a(p_.a), lines_b(p_.b);
    const Packer& packer_a = p_.pack_a != nullptr ? *p_.pack_a : lines_a;
    const Packer& packer_b = p_.pack_b != nullptr ? *p_.pack_b : lines_b;
    std::int64_t k0 = 0;
    do {
      const std::int64_t k = std::min(depth, p_.k - k0);
      const float* a = p_.a.data;
      std::int64_t a_row = p_.a.line;
      if (pack_rows) {
        packer_a.rows(k0, k, task_.row, task_.rows, packed_a.get());
        a = packed_a.get();
        a_row = k;
      } else {
        a += task_.row * a_row + k0;
      }
      for (std::size_t i = 0; i < task_.panels.size(); ++i) {
        const Panel& panel = task_.panels[i];
        const std::int64_t width = width_of(panel, s_);
        const float* b = packed_b.get();
        if (packed) {
          b = packed_at(panel, k0);
        } else {
          packer_b.panel(k0, k, panel.first, panel.count, width, packed_b.get());
        }
        // What comes after this panel: the next one, or the first one's next block.
        const bool last = i + 1 == task_.panels.size();
        const Panel& after = task_.panels[last ? 0 : i + 1];
        multiply_panel(panel, k, a, a_row, b, k0 == 0, k0 + k == p_.k, buffer.get(),
                       source_of(after, last ? std::min(k0 + k, p_.k - 1) : k0));
      }
      k0 += k;
    } while (k0 < p_.k);
  }

 private:
  [[nodiscard]] const float* packed_at(const Panel& panel, std::int64_t k0) const {
    return task_.packed + panel.first * p_.k + k0 * width_of(panel, s_);
  }

  /// What a panel's elements from k0 on are read from, for every k step of a tile some of it: `at` of the first tile,
  /// and how much further on the next tile's begins.
  struct Source {
    const char* at = nullptr;
    std::int64_t step = 0;  ///< bytes from one k to the next
    bool rows = false;      ///< a tile fetches one line of each row; else its share of the whole
  };
  [[nodiscard]] Source source_of(const Panel& panel, std::int64_t k0) const {
    constexpr auto kFloat = static_cast<std::int64_t>(sizeof(float));
    if (task_.packed != nullptr) {
      return {reinterpret_cast<const char*>(packed_at(panel, k0)), width_of(panel, s_) * kFloat, false};
    }
    if (p_.pack_b != nullptr || p_.b.line != 1) return {};
    return {reinterpret_cast<const char*>(p_.b.data + panel.first + k0 * p_.b.k), p_.b.k * kFloat, true};
  }
  /// Of tile `t` of `tiles`.
  [[nodiscard]] static Ahead ahead_of(const Source& source, std::int64_t t, std::int64_t tiles, std::int64_t k) {
    constexpr std::int64_t kLine = 64;
    if (source.at == nullptr) return {};
    if (source.rows) return {source.at + std::min<std::int64_t>(t, 2) * kLine, source.step};
    const std::int64_t share = (source.step + tiles - 1) / tiles;
    return {source.at + t * share * k, share};
  }

  void multiply_panel(const Panel& panel, std::int64_t k, const float* a, std::int64_t a_row, const float* b,
                      bool first, bool last, float* buffer, const Source& after) {
    const std::int64_t width = width_of(panel, s_), column = panel.first - column_;
    // Even tiles: a few rows alone would leave the multipliers waiting for one another.
    const std::int64_t tiles = (task_.rows + s_.rows[panel.vectors] - 1) / s_.rows[panel.vectors];
    alignas(64) float tile[kMaxMicroRows * kMaxPanelVectors * 16];
    const std::int64_t usual = task_.rows / tiles, larger = task_.rows % tiles;
    std::int64_t i = 0;
    int rows = 0;
    for (std::int64_t t = 0; t < tiles; ++t, i += rows) {
      rows = static_cast<int>(usual + (t < larger ? 1 : 0));
      const Micro micro = (sums_ == Sums::kDouble ? s_.micro_double : s_.micro)[panel.vectors][rows];
      const Ahead ahead = ahead_of(after, t, tiles, k);
      if (last) fetch_ends(i, rows, panel);
      float* c = p_.c + (task_.row + i) * p_.c_row + panel.first * p_.c_column;
      std::int64_t c_row = p_.c_row;
      if (through_buffer_ && buffer != nullptr) {
        c = buffer + i * columns_ + column;
        c_row = columns_;
      }
      const bool in_place = panel.count == width && (!through_buffer_ || buffer != nullptr);
      if (in_place && !(through_buffer_ && last)) {
        micro(k, a + i * a_row, a_row, b, c, c_row, !first, ahead);
        if (last) finish(c, c_row, i, rows, panel, c, c_row);
        continue;
      }
      if (!first) copy(rows, panel.count, c, c_row, tile, width);
      micro(k, a + i * a_row, a_row, b, tile, width, !first, ahead);
      if (!last) {
        copy(rows, panel.count, tile, width, c, c_row);
      } else if (!through_buffer_) {
        finish(tile, width, i, rows, panel, c, c_row);
      } else {
        finish(tile, width, i, rows, panel, tile, width);
        c = p_.c + (task_.row + i) * p_.c_row + panel.first * p_.c_column;
        for (int r = 0; r < rows; ++r) {
          for (std::int64_t j = 0; j < panel.count; ++j) c[r * p_.c_row + j * p_.c_column] = tile[r * width + j];
        }
      }
    }
  }

  void copy(int rows, std::int64_t n, const float* from, std::int64_t from_row, float* to, std::int64_t to_row) const {
    s_.finish(rows, n, from, from_row, nullptr, 0, nullptr, 0, false, to, to_row);
  }

  /// Factor, biases and whatever else follows the sums, from a tile that is still in the cache to where it belongs.
  void finish(float* tile, std::int64_t pitch, std::int64_t i, int rows, const Panel& panel, float* to,
              std::int64_t to_row) const {
    const std::int64_t n = panel.count, row = task_.row + i;
    for (int r = 0; r < rows && p_.alpha != 1.0F; ++r) {
      s_.mul(n, tile + r * pitch, 1, &p_.alpha, 0, tile + r * pitch);
    }
    // Each pass adds what is the same along a row, then one more array.
    Addend by_row{p_.bias_i == nullptr ? nullptr : p_.bias_i + row, 1, 0};
    const float* plus = nullptr;
    std::int64_t plus_row = 0;
    alignas(64) float gathered[kMaxMicroRows * kMaxPanelVectors * 16];
    const Addend by_column{p_.bias_j, 0, 1};
    for (const Addend& addend : {by_column, p_.plus[0], p_.plus[1]}) {
      if (addend.data == nullptr) continue;
      if (plus != nullptr) {
        s_.finish(rows, n, tile, pitch, by_row.data, by_row.row, plus, plus_row, false, tile, pitch);
        by_row = {};
        plus = nullptr;
      }
      const float* data = addend.data + row * addend.row + panel.first * addend.column;
      if (addend.column == 0 && by_row.data == nullptr) {
        by_row = {data, addend.row, 0};
        continue;
      }
      plus = data;
      plus_row = addend.row;
      if (addend.column != 1) {
        for (int r = 0; r < rows; ++r) {
          for (std::int64_t j = 0; j < n; ++j) gathered[r * n + j] = data[r * addend.row + j * addend.column];
        }
        plus = gathered;
        plus_row = n;
      }
    }
    if (tile == to && by_row.data == nullptr && plus == nullptr && !p_.rectify) return;
    s_.finish(rows, n, tile, pitch, by_row.data, by_row.row, plus, plus_row, p_.rectify, to, to_row);
  }

  /// What finish() reads and where it writes are on their way while the sums are made.
  void fetch_ends(std::int64_t i, int rows, const Panel& panel) const {
    constexpr std::int64_t kLine = 16;
    const std::int64_t row = task_.row + i;
    for (int r = 0; r < rows; ++r) {
      for (std::int64_t j = 0; j < panel.count; j += kLine) {
        if (p_.c_column == 1) __builtin_prefetch(p_.c + (row + r) * p_.c_row + panel.first + j, 1);
        for (const Addend& plus : p_.plus) {
          if (plus.data == nullptr || plus.column != 1) continue;
          __builtin_prefetch(plus.data + (row + r) * plus.row + panel.first + j);
        }
      }
    }
  }

  const Task& task_;
  const Product& p_;
  const Simd& s_;
  Sums sums_;
  std::int64_t column_ = 0, columns_ = 0;
  bool through_buffer_ = false;
};

/// The same product with the roles of a and b exchanged.
Product transposed(const Product& p) {
  Product t = p;
  std::swap(t.m, t.n);
  std::swap(t.a, t.b);
  std::swap(t.pack_a, t.pack_b);
  std::swap(t.kept_a, t.kept_b);
  std::swap(t.key_a, t.key_b);
  std::swap(t.c_row, t.c_column);
  std::swap(t.bias_i, t.bias_j);
  for (Addend& addend : t.plus) std::swap(addend.row, addend.column);
  return t;
}

std::int64_t pieces(std::int64_t n, std::int64_t block) { return (n + block - 1) / block; }

/// Into `rows` by `columns` tasks, as even as panels allow.
void cut(const Product& p, const float* packed, const std::vector<Panel>& panels, std::int64_t rows,
         std::int64_t columns, std::vector<Task>& tasks) {
  const auto count = static_cast<std::int64_t>(panels.size());
  columns = std::min(columns, count);
  rows = std::min(rows, p.m);
  for (std::int64_t j = 0; j < columns; ++j) {
    const auto first = panels.begin() + j * count / columns, last = panels.begin() + (j + 1) * count / columns;
    for (std::int64_t i = 0; i < rows; ++i) {
      const std::int64_t row = i * p.m / rows;
      tasks.push_back({&p, packed, row, (i + 1) * p.m / rows - row, {first, last}});
    }
  }
}

}  // namespace

const float* PackedPanels::of(const Key& key, const Packer& packer) {
  constexpr std::size_t kForms = 64;
  const std::lock_guard lock(mutex_);
  const auto found = std::find_if(forms_.begin(), forms_.end(), [&](const Form& form) { return form.key == key; });
  if (found == forms_.end()) {
    if (forms_.size() < kForms) forms_.push_back({key, nullptr});
    return nullptr;
  }
  if (found->panels == nullptr) {
    const Simd& s = simd();
    const std::vector<Panel> panels = kept_panels_of(key.lines, s);
    auto packed = std::make_unique<Scratch>(packed_size(panels, key.k, s));
    pack_all(packer, panels, key.k, key.k, s, packed->get());
    found->panels = std::move(packed);
  }
  return found->panels->get();
}

void multiply(std::span<const Product> products, Sums sums) {
  std::vector<Product> oriented;
  oriented.reserve(products.size());
  std::int64_t blocks = 0;
  double work = 0.0;
  const Simd& s = simd();
  for (const Product& p : products) {
    if (p.m <= 0 || p.n <= 0) continue;
    // The side whose elements are adjacent in c, or else the longer one, runs along vectors.
    const bool swap = p.c_column != 1 && (p.c_row == 1 || p.n < p.m);
    oriented.push_back(swap ? transposed(p) : p);
    const Product& o = oriented.back();
    blocks += pieces(o.m, kBlockRows) * pieces(o.n, kBlockColumns);
    work += static_cast<double>(o.m) * static_cast<double>(o.n) * static_cast<double>(o.k);
  }
  constexpr double kWorthSharing = 1 << 17;  // multiplications; a thread wakes up in that time
  const bool share = work > kWorthSharing && thread_count() > 1;
  const std::int64_t threads = share ? thread_count() : 1;
  const std::int64_t wanted = share ? 4 * threads : 1;
  std::vector<Task> tasks;
  std::vector<Scratch> packed_once;
  for (const Product& p : oriented) {
    const LinePacker lines(p.b);
    const Packer& packer = p.pack_b != nullptr ? *p.pack_b : lines;
    const float* packed = p.kept_b != nullptr && p.k > 0 ? p.kept_b->of(p.key_b, packer) : nullptr;
    const std::vector<Panel> panels = packed != nullptr ? kept_panels_of(p.n, s) : panels_of(p.n, s);
    constexpr std::int64_t kMostPacked = std::int64_t{1}
                                         << 22;  // elements: larger ones leave the cache before their use
    if (packed == nullptr && p.pack_a != nullptr && p.pack_b != nullptr && p.k > 0 &&
        packed_size(panels, p.k, s) <= kMostPacked) {
      // An order of k that no operand lies in is faster made whole.
      packed_once.emplace_back(packed_size(panels, p.k, s));
      packed = packed_once.back().get();
      pack_all(packer, panels, p.k, p.k, s, packed_once.back().get());
    }
    std::int64_t row_pieces = pieces(p.m, kBlockRows), column_pieces = pieces(p.n, kBlockColumns);
    if (blocks < wanted) {
      // Smaller blocks where there would be too few to share: of the operand that takes longer to come by, every core
      // reads a part. Tasks of the same columns each pack them: another core's cache is slower than that.
      constexpr std::int64_t kPanels = 3;  // of a task, so that a block of a is used from the cache
      const auto count = static_cast<std::int64_t>(panels.size());
      const auto products_count = static_cast<std::int64_t>(oriented.size());
      const std::int64_t fewest = pieces(threads, products_count);
      // Few rows use a panel no longer than the outer cache takes to bring it: no two cores read the same one.
      constexpr std::int64_t kFewRows = 96;
      if (packed != nullptr && p.m < kFewRows && fewest > 1 && count % fewest == 0) {
        column_pieces = std::max(column_pieces, fewest);
      } else if (p.n > p.m && count >= kPanels * fewest) {
        column_pieces = std::max(column_pieces, std::min(pieces(wanted, products_count), count / kPanels));
      } else {
        const std::int64_t least_rows = std::int64_t{2} * s.rows[2];
        row_pieces = std::max(row_pieces, std::min(fewest, pieces(p.m, least_rows)));
      }
    }
    cut(p, packed, panels, row_pieces, column_pieces, tasks);
  }
  const auto run = [&](std::int64_t i) { Worker(tasks[static_cast<std::size_t>(i)], sums).run(); };
  if (share) {
    parallel_for(static_cast<std::int64_t>(tasks.size()), run);
  } else {
    for (std::size_t i = 0; i < tasks.size(); ++i) run(static_cast<std::int64_t>(i));
  }
}

}  // namespace spillway::workloads::compute
