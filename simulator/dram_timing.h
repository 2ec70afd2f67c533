// DRAM behind one in-order controller: channels, banks, row buffers, refresh. Plain arithmetic; no SystemC.
//
// Address mapping, from the low bits up: byte in burst | channel | column burst in row | bank | row.
//   burst   = address / (channel_bits / 8 * burst_length)
//   channel = burst % channels               neighbouring bursts lie in neighbouring channels: a long run uses all
//   column  = burst / channels % (row_bytes / burst bytes)
//   row     = ... / banks
//   bank    = (... + hash of row) % banks    neighbouring rows lie in neighbouring banks: their activations overlap
// The hash keeps two streams that run side by side a multiple of all banks apart from meeting in the same bank for
// ever (permutation-based page interleaving: Zhang, Zhu and Zhang, MICRO 2000; a hash instead of the row's low bits).
//
// Each channel serves its bursts in the order of arrival. A run of bursts in an open row is a hit: its data follow on
// the bus, and their latency (tCL) hides behind earlier transfers if the request was there early enough. Otherwise the
// bank precharges (tRP; not before tRAS after its activation nor before its last data), activates (tRCD) and reads
// (tCL) while other banks still transfer. Changing direction idles the bus for tWTR or tRTW. Every tREFI all banks of a
// channel close for tRFC; a refresh waits for the row run in progress, as JEDEC lets it be postponed.
// Timing names: JESD209-5 (LPDDR5), JESD79-4 (DDR4). Not modelled: tRRD and tFAW, bank groups, write latency apart from
// tCL, tRTP and tWR (precharge waits for the data instead), reordering.
#pragma once

#include <vector>

#include "configs/configs.h"
#include "simulator/simulator.h"

namespace spillway::simulator {

class DramTiming {
 public:
  DramTiming(const configs::DramConfig& config, double clock_hz);

  /// The time at which the last byte has crossed the data bus, for a request that arrives at the controller at
  /// `arrival`. Times are NPU cycles, fractions kept. Requests come in the order in which they are served.
  double serve(double arrival, std::int64_t address, Bytes bytes, bool write);

  /// Where a byte lies.
  struct Location {
    std::int64_t channel = 0, bank = 0, row = 0;
    bool operator==(const Location&) const = default;
  };
  [[nodiscard]] Location locate(std::int64_t address) const;

  /// Counters so far; busy is the mean over channels, rounded up.
  [[nodiscard]] DramUse use() const;

 private:
  struct Bank {
    std::int64_t row = -1;   // open row
    std::int64_t epoch = 0;  // refreshes of the channel when it was opened: a later one has closed it
    double activated = 0;
    double column_ready = 0;  // first column command to the open row
    double data_end = 0;
  };
  struct Channel {
    double bus_free = 0;
    double next_refresh = 0;
    double refreshed = 0;  // end of the last refresh
    std::int64_t epoch = 0;
    bool last_write = false;
    bool used = false;
    std::vector<Bank> banks;
  };
  /// A part of a request: bursts that follow each other in one row of one bank.
  struct RowRun {
    std::int64_t row = 0;
    int bank = 0;
    std::int64_t bursts = 0;
  };

  /// A row's place from its number within its channel.
  [[nodiscard]] RowRun place(std::int64_t number, std::int64_t bursts) const;
  double serve_run(Channel& channel, const RowRun& run, double arrival, bool write);
  void refresh(Channel& channel);
  void skip_idle_refreshes(Channel& channel, double arrival);

  std::int64_t channels_ = 0, banks_ = 0, bursts_per_row_ = 0;
  Bytes burst_bytes_ = 0;
  // in NPU cycles
  double burst_ = 0, trcd_ = 0, trp_ = 0, tcl_ = 0, tras_ = 0, twtr_ = 0, trtw_ = 0, trfc_ = 0, trefi_ = 0;
  std::vector<Channel> state_;
  std::int64_t bursts_ = 0;
  DramUse use_;
};

}  // namespace spillway::simulator
