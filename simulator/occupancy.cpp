// How many bytes are live, from the times of the commands.
//
// Scratchpad: bytes written by a command are live from its start until the end of the last command that reads them
// before another overwrites them. What a command touches is the range from its operand's first byte to its last; the
// ranges of a storage's blocks may interleave, so a write into bytes of its own storage that nobody has read yet adds
// to them instead of replacing them. A read keeps all that the writing command wrote.
// DRAM: an activation is live as a whole from its first store (graph inputs: from the beginning) until its last load
// (graph outputs: until the end).
#include <algorithm>
#include <map>

#include "simulator/accounting.h"
#include "simulator/program_bounds.h"

namespace spillway::simulator {

using partitioner::Command;
using partitioner::Operand;
using partitioner::Program;
using partitioner::Space;
using partitioner::Storage;
using partitioner::StorageClass;
using partitioner::StorageId;

namespace {

struct Change {
  Cycles time = 0;
  Bytes scratchpad = 0, dram = 0;
  std::int32_t group = 0;
};

class ScratchpadLife {
 public:
  explicit ScratchpadLife(std::vector<Change>& changes) : changes_(changes) {}

  void read(const ByteRange& range, Cycles end) {
    for (auto it = first_in(range); it != live_.end() && it->first < range.end; ++it) {
      it->second.last = std::max(it->second.last, end);
      it->second.read = true;
    }
  }

  void write(const ByteRange& range, StorageId storage, std::int32_t group, const CommandTimes& times) {
    std::int64_t from = range.begin;
    for (auto it = first_in(range); it != live_.end() && it->first < range.end;) {
      Part& part = it->second;
      const std::int64_t begin = it->first;
      const std::int64_t end = part.end;
      if (part.storage == storage && !part.read) {
        part.last = std::max(part.last, times.end);
        if (begin > from) put(from, begin, storage, group, times);
        from = std::max(from, end);
        ++it;
        continue;
      }
      const Part kept = part;
      // A command that works in place reads to its end what it overwrites from its start: the same bytes, once.
      part.last = std::min(part.last, times.start);
      close(part, std::max(begin, range.begin), std::min(end, range.end));
      it = live_.erase(it);
      if (begin < range.begin) put_part(begin, range.begin, kept);
      if (end > range.end) put_part(range.end, end, kept);
    }
    if (from < range.end) put(from, range.end, storage, group, times);
  }

  void close_all() {
    for (const auto& [begin, part] : live_) close(part, begin, part.end);
    live_.clear();
  }

 private:
  struct Part {
    std::int64_t end = 0;
    Cycles start = 0, last = 0;
    StorageId storage = partitioner::kNone;
    std::int32_t group = 0;
    bool read = false;
  };
  using Parts = std::map<std::int64_t, Part>;  // by first byte; disjoint

  Parts::iterator first_in(const ByteRange& range) {
    auto it = live_.upper_bound(range.begin);
    if (it != live_.begin() && std::prev(it)->second.end > range.begin) --it;
    return it;
  }

  void put(std::int64_t begin, std::int64_t end, StorageId storage, std::int32_t group, const CommandTimes& times) {
    put_part(begin, end, {.start = times.start, .last = times.end, .storage = storage, .group = group});
  }
  void put_part(std::int64_t begin, std::int64_t end, Part part) {
    part.end = end;
    live_.insert_or_assign(begin, part);
  }

  void close(const Part& part, std::int64_t begin, std::int64_t end) {
    if (part.last <= part.start) return;
    changes_.push_back({part.start, end - begin, 0, part.group});
    changes_.push_back({part.last, begin - end, 0, part.group});
  }

  Parts live_;
  std::vector<Change>& changes_;
};

/// First store and last load of each activation that is in DRAM at all.
class DramLife {
 public:
  explicit DramLife(const Program& program) : program_(program), spans_(program.layout.storages.size()) {}

  void touch(const Operand& operand, bool write, const CommandTimes& times, std::int32_t group) {
    Span& span = spans_[static_cast<std::size_t>(operand.storage)];
    if (write) {
      if (!span.stored || times.start < span.first) span.first = times.start, span.group = group;
      span.stored = true;
    }
    span.last = std::max(span.last, times.end);
  }

  void close_all(Cycles cycles, std::vector<Change>& changes) const {
    for (std::size_t s = 0; s < spans_.size(); ++s) {
      const Storage& storage = program_.layout.storages[s];
      const Span& span = spans_[s];
      const bool input = storage.is_input;
      if (storage.storage_class != StorageClass::kActivation || (!input && !span.stored)) continue;
      const Cycles first = input ? 0 : span.first;
      const Cycles last = storage.is_output ? cycles : span.last;
      if (last <= first) continue;
      changes.push_back({first, 0, storage.bytes(), span.group});
      changes.push_back({last, 0, -storage.bytes(), span.group});
    }
  }

 private:
  struct Span {
    Cycles first = 0, last = 0;
    std::int32_t group = 0;
    bool stored = false;
  };
  const Program& program_;
  std::vector<Span> spans_;
};

std::vector<Change> changes_of(const Program& program, const KernelTraffic& traffic, const Result& result) {
  std::vector<Change> changes;
  ScratchpadLife scratchpad(changes);
  DramLife dram(program);
  for (std::size_t c = 0; c < program.commands.size(); ++c) {
    const Command& command = program.commands[c];
    const CommandTimes& times = result.commands[c];
    const auto operands = program.operands(command);
    for (const bool write : {false, true}) {  // a command reads before it writes
      for (std::size_t i = 0; i < operands.size(); ++i) {
        const Operand& operand = operands[i];
        const bool writes = traffic.writes(command, static_cast<int>(i));
        if (operand.box.empty() || operand.space == Space::kAccumulator) continue;
        if (operand.space == Space::kDram) {
          if (writes == write) dram.touch(operand, write, times, command.group);
          continue;
        }
        const auto& storage = program.layout.storages[static_cast<std::size_t>(operand.storage)];
        const bool accumulates = writes && command.prior > 0 && storage.storage_class == StorageClass::kStatistics;
        if ((writes && !accumulates) != write) continue;
        const ByteRange range = byte_range(operand);
        if (write) {
          scratchpad.write(range, operand.storage, command.group, times);
        } else {
          scratchpad.read(range, times.end);
        }
      }
    }
  }
  scratchpad.close_all();
  dram.close_all(result.cycles, changes);
  return changes;
}

}  // namespace

void account_occupancy(const Program& program, const KernelTraffic& traffic, Result& result) {
  std::vector<Change> changes = changes_of(program, traffic, result);
  // What ends at an instant makes room for what begins at it.
  std::stable_sort(changes.begin(), changes.end(), [](const Change& a, const Change& b) {
    if (a.time != b.time) return a.time < b.time;
    return a.scratchpad + a.dram < 0 && b.scratchpad + b.dram >= 0;
  });
  Bytes scratchpad = 0, dram = 0;
  for (const Change& change : changes) {
    scratchpad += change.scratchpad;
    dram += change.dram;
    if (scratchpad > result.peak_scratchpad) {
      result.peak_scratchpad = scratchpad;
      result.peak_group = change.group;
    }
    result.peak_dram_activation = std::max(result.peak_dram_activation, dram);
    result.working_buffer = std::max(result.working_buffer, scratchpad + dram);
  }
}

}  // namespace spillway::simulator
