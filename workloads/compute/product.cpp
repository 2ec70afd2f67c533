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

/// A part of one product that one thread computes.
struct Task {
  const Product* product = nullptr;
  const float* panels = nullptr;  ///< all of b as PackedPanels keeps it, if it does
  std::int64_t row = 0, rows = 0, column = 0, columns = 0;
};

constexpr std::int64_t kBlockK = 384;        // a panel of it stays in the first cache
constexpr std::int64_t kBlockColumns = 320;  // of b, packed: in the second cache
constexpr std::int64_t kBlockRows = 560;     // of a
constexpr std::int64_t kRowsAtOnce = 8;
constexpr int kSets = 64 * 16;  // rows this many floats apart meet in the same sets of the first cache

class Worker {
 public:
  Worker(const Task& task, Sums sums) : task_(task), p_(*task.product), s_(simd()), sums_(sums) {}

  void run() {
    const bool kept = task_.panels != nullptr;
    const std::vector<Panel> panels = kept ? kept_panels_of(task_.columns, s_) : panels_of(task_.columns, s_);
    const std::int64_t depth = sums_ == Sums::kDouble ? std::max<std::int64_t>(p_.k, 1) : std::min(kBlockK, p_.k);
    std::int64_t width = 0;
    for (const Panel& panel : panels) width += std::int64_t{panel.vectors} * s_.lanes;
    // Sums over several blocks of k go through c itself where its columns are adjacent.
    const bool blocked = depth < p_.k;
    through_buffer_ = p_.c_column != 1;
    const Scratch packed_b(kept ? 0 : width * std::max<std::int64_t>(depth, 1));
    const bool pack_rows = p_.pack_a != nullptr || p_.a.k != 1 || (p_.a.line % kSets == 0 && p_.k > 64);
    const Scratch packed_a(pack_rows ? task_.rows * std::max<std::int64_t>(depth, 1) : 0);
    const Scratch buffer(through_buffer_ && blocked ? task_.rows * task_.columns : 0);
    const LinePacker lines_a(p_.a), lines_b(p_.b);
    const Packer& packer_a = p_.pack_a != nullptr ? *p_.pack_a : lines_a;
    const Packer& packer_b = p_.pack_b != nullptr ? *p_.pack_b : lines_b;
    std::int64_t k0 = 0;
    do {
      const std::int64_t k = std::min(depth, p_.k - k0);
      // Rows of b may lie far apart: all panels of a few rows, then the next rows.
      const std::int64_t rows_at_once = p_.pack_b == nullptr && p_.b.line == 1 ? kRowsAtOnce : k;
      for (std::int64_t i = 0; i < k && !kept; i += rows_at_once) {
        float* to = packed_b.get();
        for (const Panel& panel : panels) {
          const std::int64_t panel_width = std::int64_t{panel.vectors} * s_.lanes;
          packer_b.panel(k0 + i, std::min(rows_at_once, k - i), task_.column + panel.first, panel.count, panel_width,
                         to + i * panel_width);
          to += k * panel_width;
        }
      }
      const float* a = p_.a.data;
      std::int64_t a_row = p_.a.line;
      if (pack_rows) {
        packer_a.rows(k0, k, task_.row, task_.rows, packed_a.get());
        a = packed_a.get();
        a_row = k;
      } else {
        a += task_.row * a_row + k0;
      }
      const float* b = packed_b.get();
      for (const Panel& panel : panels) {
        const std::int64_t panel_width = std::int64_t{panel.vectors} * s_.lanes;
        if (kept) b = task_.panels + (task_.column + panel.first) * p_.k + k0 * panel_width;
        multiply_panel(panel, k, a, a_row, b, k0 == 0, k0 + k == p_.k, buffer.get());
        b += k * panel_width;
      }
      k0 += k;
    } while (k0 < p_.k);
  }

 private:
  void multiply_panel(const Panel& panel, std::int64_t k, const float* a, std::int64_t a_row, const float* b,
                      bool first, bool last, float* buffer) {
    const int best = s_.rows[panel.vectors];
    const std::int64_t width = std::int64_t{panel.vectors} * s_.lanes;
    alignas(64) float tile[kMaxMicroRows * kMaxPanelVectors * 16];
    for (std::int64_t i = 0; i < task_.rows; i += best) {
      const auto rows = static_cast<int>(std::min<std::int64_t>(best, task_.rows - i));
      const Micro micro = (sums_ == Sums::kDouble ? s_.micro_double : s_.micro)[panel.vectors][rows];
      float* c = p_.c + (task_.row + i) * p_.c_row + (task_.column + panel.first) * p_.c_column;
      std::int64_t c_row = p_.c_row;
      if (through_buffer_ && buffer != nullptr) {
        c = buffer + i * task_.columns + panel.first;
        c_row = task_.columns;
      }
      const bool in_place = panel.count == width && (!through_buffer_ || buffer != nullptr);
      if (in_place && !(through_buffer_ && last)) {
        micro(k, a + i * a_row, a_row, b, c, c_row, !first);
        if (last) finish(c, c_row, i, rows, panel);
        continue;
      }
      if (!first) {
        for (int r = 0; r < rows; ++r) std::copy_n(c + r * c_row, panel.count, tile + r * width);
      }
      micro(k, a + i * a_row, a_row, b, tile, width, !first);
      if (!last) {
        for (int r = 0; r < rows; ++r) std::copy_n(tile + r * width, panel.count, c + r * c_row);
        continue;
      }
      finish(tile, width, i, rows, panel);
      c = p_.c + (task_.row + i) * p_.c_row + (task_.column + panel.first) * p_.c_column;
      for (int r = 0; r < rows; ++r) {
        float* to = c + r * p_.c_row;
        const float* from = tile + r * width;
        if (p_.c_column == 1) {
          std::copy_n(from, panel.count, to);
        } else {
          for (std::int64_t j = 0; j < panel.count; ++j) to[j * p_.c_column] = from[j];
        }
      }
    }
  }

  /// Factor and biases, on a tile that is still in the cache.
  void finish(float* tile, std::int64_t pitch, std::int64_t i, int rows, const Panel& panel) const {
    if (p_.alpha == 1.0F && p_.bias_i == nullptr && p_.bias_j == nullptr) return;
    for (int r = 0; r < rows; ++r) {
      float* row = tile + r * pitch;
      if (p_.alpha != 1.0F) s_.mul(panel.count, row, 1, &p_.alpha, 0, row);
      if (p_.bias_i != nullptr) s_.add(panel.count, row, 1, p_.bias_i + task_.row + i + r, 0, row);
      if (p_.bias_j != nullptr) s_.add(panel.count, row, 1, p_.bias_j + task_.column + panel.first, 1, row);
    }
  }

  const Task& task_;
  const Product& p_;
  const Simd& s_;
  Sums sums_;
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
  return t;
}

std::int64_t pieces(std::int64_t n, std::int64_t block) { return (n + block - 1) / block; }

void cut(const Product& p, const float* panels, std::int64_t rows, std::int64_t columns, std::vector<Task>& tasks) {
  for (std::int64_t j = 0; j < p.n; j += columns) {
    for (std::int64_t i = 0; i < p.m; i += rows) {
      tasks.push_back({&p, panels, i, std::min(rows, p.m - i), j, std::min(columns, p.n - j)});
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
    const std::int64_t last_width = std::int64_t{panels.back().vectors} * s.lanes;
    auto packed = std::make_unique<Scratch>((panels.back().first + last_width) * key.k);
    parallel_for(static_cast<std::int64_t>(panels.size()), [&](std::int64_t i) {
      const Panel& panel = panels[static_cast<std::size_t>(i)];
      packer.panel(0, key.k, panel.first, panel.count, std::int64_t{panel.vectors} * s.lanes,
                   packed->get() + panel.first * key.k);
    });
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
  const std::int64_t wanted = share ? std::int64_t{4} * thread_count() : 1;
  std::vector<Task> tasks;
  for (const Product& p : oriented) {
    // Even blocks; smaller ones where there would be too few to share.
    std::int64_t row_pieces = pieces(p.m, kBlockRows), column_pieces = pieces(p.n, kBlockColumns);
    const std::int64_t least_rows = std::int64_t{4} * s.rows[2];
    const std::int64_t least_columns = std::int64_t{4} * s.lanes;
    for (std::int64_t all = blocks; all < wanted;) {
      const bool by_rows = p.m / row_pieces >= p.n / column_pieces;
      std::int64_t& chosen = by_rows ? row_pieces : column_pieces;
      const std::int64_t other = all / chosen;
      if ((by_rows ? p.m : p.n) / (chosen + 1) < (by_rows ? least_rows : least_columns)) break;
      ++chosen;
      all = other * chosen;
    }
    const auto even = [](std::int64_t n, std::int64_t count, std::int64_t step) {
      return std::max(pieces(pieces(n, count), step) * step, std::int64_t{1});
    };
    const LinePacker lines(p.b);
    const Packer& packer = p.pack_b != nullptr ? *p.pack_b : lines;
    const float* panels = p.kept_b != nullptr && p.k > 0 ? p.kept_b->of(p.key_b, packer) : nullptr;
    cut(p, panels, even(p.m, row_pieces, s.rows[2]), even(p.n, column_pieces, std::int64_t{2} * s.lanes), tasks);
  }
  const auto run = [&](std::int64_t i) { Worker(tasks[static_cast<std::size_t>(i)], sums).run(); };
  if (share) {
    parallel_for(static_cast<std::int64_t>(tasks.size()), run);
  } else {
    for (std::size_t i = 0; i < tasks.size(); ++i) run(static_cast<std::int64_t>(i));
  }
}

}  // namespace spillway::workloads::compute
