#include "reports/allocation_map.h"

#include <fmt/format.h>

#include <algorithm>
#include <ostream>
#include <string_view>

#include "partitioner/occupancy.h"
#include "reports/format.h"

namespace spillway::reports {

namespace {

using configs::Bytes;
using partitioner::Plan;

constexpr int kColumns = 80;
constexpr std::string_view kLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
constexpr char kOther = '@';
constexpr int kFree = -1, kBuffers = -2;

/// What a cell shows: a residency's index, kFree or kBuffers.
using Cells = std::vector<int>;

class Map {
 public:
  explicit Map(const Plan& plan) : plan_(plan), occupancy_(partitioner::occupancy_of(plan)) {
    for (const auto& r : plan.residencies) end_ = std::max(end_, r.address + r.bytes);
    for (const auto& group : plan.groups) {
      for (const auto& b : group.buffers) end_ = std::max(end_, b.address + b.slots * b.slot_bytes);
    }
    // A scratchpad of which little is used is drawn as far as it is used.
    if (end_ * 2 > plan.budget) end_ = plan.budget;
    columns_ = static_cast<int>(std::clamp<Bytes>(end_, 1, kColumns));
    alive_.resize(plan.groups.size());
    for (std::size_t i = 0; i < plan.residencies.size(); ++i) {
      const auto& r = plan.residencies[i];
      for (int g = r.first_group; g <= r.last_group; ++g) alive_[g].push_back(static_cast<int>(i));
    }
    for (std::size_t g = 0; g < plan.groups.size(); ++g) cells_.push_back(cells_of(g));
    give_letters();
  }

  void print(std::ostream& out) const {
    out << fmt::format("  scratchpad by group: {} columns of {} B from address 0 to {} (budget {})\n", columns_,
                       grouped(columns_ == 0 ? 0 : (end_ + columns_ - 1) / columns_), grouped(end_),
                       grouped(plan_.budget));
    print_labelled(out, "letters", "tensors held between groups (listed below); @: more than there are letters");
    print_labelled(out, "held, own", "bytes of held tensors, and of the groups' own buffers, in all that is drawn");
    print_labelled(
        out, "#  +  .",
        "#: the group's own buffers; +: those of some groups of a joined row; .: free; a column shows what has "
        "most of it");
    if (joins()) {
      print_labelled(out, "rows", "groups in a row with the same picture of held tensors are joined: first..last");
    }
    const std::string axis = fmt::format("0{:>{}}", binary_bytes(end_), columns_ - 1);
    out << fmt::format("    {:>9}  {}  {:>5} {:>5}\n", "groups", columns_ > 12 ? axis : std::string(columns_, ' '),
                       "held", "own");
    for (std::size_t first = 0; first < cells_.size();) {
      std::size_t last = first;
      while (joins() && last + 1 < cells_.size() && same_residents(first, last + 1)) ++last;
      print_row(first, last, out);
      first = last + 1;
    }
    print_legend(out);
  }

 private:
  [[nodiscard]] Bytes edge(int column) const {
    // Without overflow, whatever the budget.
    return end_ / columns_ * column + end_ % columns_ * column / columns_;
  }
  [[nodiscard]] int column_of(Bytes address) const {
    int low = 0;
    for (int high = columns_; low + 1 < high;) {
      const int middle = (low + high) / 2;
      (edge(middle) <= address ? low : high) = middle;
    }
    return low;
  }

  [[nodiscard]] Cells cells_of(std::size_t g) const {
    std::vector<Bytes> most(columns_, 0), buffers(columns_, 0), used(columns_, 0);
    Cells cells(columns_, kFree);
    const auto for_columns = [&](Bytes begin, Bytes bytes, const auto& visit) {
      if (bytes <= 0) return;
      const int last = column_of(begin + bytes - 1);
      for (int c = column_of(begin); c <= last; ++c) {
        visit(c, std::min(begin + bytes, edge(c + 1)) - std::max(begin, edge(c)));
      }
    };
    for (const int i : alive_[g]) {
      const auto& r = plan_.residencies[i];
      for_columns(r.address, r.bytes, [&](int c, Bytes bytes) {
        used[c] += bytes;
        if (bytes > most[c]) most[c] = bytes, cells[c] = i;
      });
    }
    for (const auto& b : plan_.groups[g].buffers) {
      for_columns(b.address, b.slots * b.slot_bytes, [&](int c, Bytes bytes) { buffers[c] += bytes; });
    }
    for (int c = 0; c < columns_; ++c) {
      if (buffers[c] > most[c]) most[c] = buffers[c], cells[c] = kBuffers;
      if (edge(c + 1) - edge(c) - used[c] - buffers[c] > most[c]) cells[c] = kFree;
    }
    return cells;
  }

  /// Letters are used again once the tensor that had them is gone, the longest unused first.
  void give_letters() {
    letter_.assign(plan_.residencies.size(), '\0');
    std::vector<std::pair<int, std::size_t>> free_since;  // group, letter
    for (std::size_t k = 0; k < kLetters.size(); ++k) free_since.emplace_back(-2, k);
    for (const Cells& cells : cells_) {
      for (const int i : cells) {
        if (i < 0 || letter_[i] != '\0') continue;
        const auto best = std::min_element(free_since.begin(), free_since.end());
        const int first = plan_.residencies[i].first_group;
        if (best->first >= first) {
          letter_[i] = kOther;
        } else {
          letter_[i] = kLetters[best->second];
          best->first = plan_.residencies[i].last_group;
        }
      }
    }
  }

  /// A long plan is shortened.
  [[nodiscard]] bool joins() const { return cells_.size() > 45; }

  [[nodiscard]] bool same_residents(std::size_t a, std::size_t b) const {
    for (int c = 0; c < columns_; ++c) {
      const int x = std::max(cells_[a][c], -1);
      const int y = std::max(cells_[b][c], -1);
      if (x != y) return false;
    }
    return true;
  }

  void print_row(std::size_t first, std::size_t last, std::ostream& out) const {
    std::string row;
    for (int c = 0; c < columns_; ++c) {
      if (cells_[first][c] >= 0) {
        row += letter_[cells_[first][c]];
        continue;
      }
      std::size_t with = 0;
      for (std::size_t g = first; g <= last; ++g) with += cells_[g][c] == kBuffers ? 1 : 0;
      row += with == 0 ? '.' : with == last - first + 1 ? '#' : '+';
    }
    Bytes held = 0, own = 0;
    for (std::size_t g = first; g <= last; ++g) {
      held = std::max(held, occupancy_[g].residents);
      own = std::max(own, occupancy_[g].buffers);
    }
    const auto share = [&](Bytes bytes) {
      return fmt::format("{:.0f} %",
                         100.0 * static_cast<double>(bytes) / static_cast<double>(std::max<Bytes>(1, end_)));
    };
    const std::string groups = first == last ? std::to_string(first) : fmt::format("{}..{}", first, last);
    out << fmt::format("    {:>9} |{}| {:>5} {:>5}\n", groups, row, share(held), share(own));
  }

  void print_legend(std::ostream& out) const {
    Table table({{"letter", Table::Align::kLeft}, {"groups"}, {"bytes"}, {"address"}, {"tensor", Table::Align::kLeft}});
    std::vector<std::size_t> drawn;
    Bytes small = 0;
    for (std::size_t i = 0; i < letter_.size(); ++i) {
      if (letter_[i] != '\0') {
        drawn.push_back(i);
      } else {
        small += plan_.residencies[i].bytes;
      }
    }
    std::stable_sort(drawn.begin(), drawn.end(), [&](std::size_t a, std::size_t b) {
      return plan_.residencies[a].first_group < plan_.residencies[b].first_group;
    });
    for (const std::size_t i : drawn) {
      const auto& r = plan_.residencies[i];
      table.add({std::string(1, letter_[i]), fmt::format("{}..{}", r.first_group, r.last_group), grouped(r.bytes),
                 fmt::format("{:#x}", r.address), shortened(plan_.layout.storages[r.storage].name, 60)});
    }
    if (!drawn.empty()) table.print(out, 4);
    if (drawn.size() < letter_.size()) {
      out << fmt::format("    {} held tensors, {} B in all, are nowhere the most of a column and have no letter\n",
                         letter_.size() - drawn.size(), grouped(small));
    }
  }

  const Plan& plan_;
  std::vector<partitioner::Occupancy> occupancy_;
  Bytes end_ = 0;
  int columns_ = 0;
  std::vector<std::vector<int>> alive_;  ///< by group: residencies
  std::vector<Cells> cells_;             ///< by group
  std::vector<char> letter_;             ///< by residency; 0: not drawn
};

}  // namespace

void print_allocation_map(const Plan& plan, std::ostream& out) { Map(plan).print(out); }

}  // namespace spillway::reports
