#include "simulator/dram_timing.h"

#include <algorithm>
#include <cmath>

namespace spillway::simulator {

DramTiming::DramTiming(const configs::DramConfig& config, double clock_hz)
    : channels_(config.channels), banks_(config.banks) {
  burst_bytes_ = Bytes{config.channel_bits} / 8 * config.burst_length;
  if (burst_bytes_ <= 0 || channels_ <= 0 || banks_ <= 0) internal_error("a DRAM without channels, banks or bursts");
  bursts_per_row_ = std::max<std::int64_t>(1, config.row_bytes / burst_bytes_);
  const double cycles_per_ns = clock_hz * 1e-9;
  burst_ = config.burst_length / (config.data_rate_mtps * 1e6) * clock_hz;
  trcd_ = config.trcd_ns * cycles_per_ns;
  trp_ = config.trp_ns * cycles_per_ns;
  tcl_ = config.tcl_ns * cycles_per_ns;
  tras_ = config.tras_ns * cycles_per_ns;
  twtr_ = config.twtr_ns * cycles_per_ns;
  trtw_ = config.trtw_ns * cycles_per_ns;
  trfc_ = config.trfc_ns * cycles_per_ns;
  trefi_ = config.trefi_ns * cycles_per_ns;
  if (!(trefi_ > trfc_)) internal_error("a DRAM that does nothing but refresh");
  Channel channel;
  channel.next_refresh = trefi_;
  channel.banks.resize(static_cast<std::size_t>(banks_));
  state_.assign(static_cast<std::size_t>(channels_), channel);
}

double DramTiming::serve(double arrival, std::int64_t address, Bytes bytes, bool write) {
  if (bytes <= 0) return arrival;
  const std::int64_t first = address / burst_bytes_;
  const std::int64_t last = (address + bytes - 1) / burst_bytes_;
  bursts_ += last - first + 1;
  const std::int64_t touched = std::min(channels_, last - first + 1);
  // Burst b is the (b / channels)-th of its channel; of a request each channel has a contiguous range of them.
  std::int64_t in_channel = first / channels_;
  std::int64_t c = first - in_channel * channels_;
  double end = arrival;
  for (std::int64_t i = 0; i < touched; ++i) {
    Channel& channel = state_[static_cast<std::size_t>(c)];
    std::int64_t left = (last - first - i) / channels_ + 1;
    std::int64_t row = in_channel / bursts_per_row_;
    std::int64_t column = in_channel - row * bursts_per_row_;
    while (left > 0) {
      const std::int64_t bursts = std::min(left, bursts_per_row_ - column);
      end = std::max(end, serve_run(channel, place(row, bursts), arrival, write));
      left -= bursts;
      column = 0;
      ++row;
    }
    if (++c == channels_) c = 0, ++in_channel;
  }
  return end;
}

DramTiming::RowRun DramTiming::place(std::int64_t number, std::int64_t bursts) const {
  const std::int64_t row = number / banks_;
  // Fibonacci hashing (Knuth, The Art of Computer Programming 3, 6.4)
  const auto hash = static_cast<std::int64_t>(static_cast<std::uint64_t>(row) * 0x9E3779B97F4A7C15ULL >> 48);
  return {row, static_cast<int>((number + hash) % banks_), bursts};
}

DramTiming::Location DramTiming::locate(std::int64_t address) const {
  const std::int64_t burst = address / burst_bytes_;
  const RowRun run = place(burst / channels_ / bursts_per_row_, 1);
  return {burst % channels_, run.bank, run.row};
}

double DramTiming::serve_run(Channel& channel, const RowRun& run, double arrival, bool write) {
  skip_idle_refreshes(channel, arrival);
  Bank& bank = channel.banks[static_cast<std::size_t>(run.bank)];
  const bool turn = channel.used && channel.last_write != write;
  // A refresh that is due goes first; once, so that latencies beyond tREFI cannot hold a request up for ever.
  for (bool refreshed = false;; refreshed = true) {
    const bool open = bank.row >= 0 && bank.epoch == channel.epoch;
    const bool hit = open && bank.row == run.row;
    double activate = 0;
    double column = std::max(arrival, bank.column_ready);
    if (!hit) {
      activate = std::max(arrival, channel.refreshed);
      if (open) activate = std::max({activate, bank.activated + tras_, bank.data_end}) + trp_;
      column = activate + trcd_;
    }
    const double bus = channel.bus_free + (turn ? (channel.last_write ? twtr_ : trtw_) : 0.0);
    const double data = std::max(bus, column + tcl_);
    if (data >= channel.next_refresh && !refreshed) {
      refresh(channel);
      continue;
    }
    if (!hit) {
      bank.row = run.row;
      bank.epoch = channel.epoch;
      bank.activated = activate;
      bank.column_ready = column;
    }
    use_.row_hits += run.bursts - (hit ? 0 : 1);
    use_.row_misses += hit ? 0 : 1;
    use_.turnarounds += turn ? 1 : 0;
    channel.bus_free = bank.data_end = data + static_cast<double>(run.bursts) * burst_;
    channel.last_write = write;
    channel.used = true;
    return channel.bus_free;
  }
}

void DramTiming::refresh(Channel& channel) {
  channel.refreshed = std::max(channel.next_refresh, channel.bus_free) + trfc_;
  channel.bus_free = channel.refreshed;
  channel.next_refresh += trefi_;
  ++channel.epoch;
  ++use_.refreshes;
}

// While nothing arrives, refreshes come and go; only the last one before `arrival` can still matter.
void DramTiming::skip_idle_refreshes(Channel& channel, double arrival) {
  const double behind = arrival - std::max(channel.next_refresh, channel.bus_free);
  if (behind < trefi_) return;
  const double skipped = std::floor((arrival - channel.next_refresh) / trefi_);
  if (skipped < 1) return;
  channel.next_refresh += skipped * trefi_;
  channel.epoch += static_cast<std::int64_t>(skipped);
  use_.refreshes += static_cast<std::int64_t>(skipped);
}

DramUse DramTiming::use() const {
  DramUse use = use_;
  use.burst_bytes = bursts_ * burst_bytes_;
  use.busy = static_cast<Cycles>(std::ceil(static_cast<double>(bursts_) * burst_ / static_cast<double>(channels_)));
  return use;
}

}  // namespace spillway::simulator
