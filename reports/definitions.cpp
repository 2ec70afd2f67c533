#include "reports/definitions.h"

#include <array>

namespace spillway::reports {

namespace {

constexpr std::array kDefinitions{
    Definition{"latency_cycles", "NPU clock cycles", "from the first command's issue to the last command's end"},
    Definition{"latency_seconds", "seconds", "latency_cycles / clock_hz"},
    Definition{"bound_by_cycles", "NPU clock cycles",
               "the critical path walked back from the last command: every cycle belongs to the command on it or to "
               "its named wait; adds up to latency_cycles"},
    Definition{"macs", "multiply-accumulates", "executed, of convolutions and products; padding excluded"},
    Definition{"useful_macs", "multiply-accumulates",
               "those that the graph asks for: macs less what the plan computes again at the borders of tiles"},
    Definition{"operations", "operations", "2 per multiply-accumulate of convolutions and products"},
    Definition{"vector_ops", "operations", "one per element and primitive operation on the vector engine, by class"},
    Definition{"utilisation", "fraction",
               "useful_macs / (cycles x peak_macs_per_cycle); of a group: its macs over its critical cycles, or its "
               "matrix engines' busy "
               "cycles where they are more because neighbours hide a part"},
    Definition{
        "lower_bound", "NPU clock cycles",
        "the largest of useful_macs at peak rate, compulsory bytes at peak DRAM bandwidth, vector_ops at lane rate"},
    Definition{"loss_cycles", "NPU clock cycles",
               "latency minus lower bound, shared out in proportion to the critical cycles that were not ideal work "
               "of the bounding resource"},
    Definition{"moves", "bytes and elements",
               "across the DRAM interface, re-reads included, by class of tensor: weight (constants read by matrix "
               "operators, embedding rows), activation (everything computed, graph inputs and outputs), parameter "
               "(biases, scales and other constants of vector operators), statistics (of normalisation)"},
    Definition{"predicted_moves", "bytes and elements", "moves as the plan predicted them"},
    Definition{"compulsory_bytes", "bytes", "inputs, outputs and constants once: no plan moves less"},
    Definition{"working_buffer_bytes", "bytes",
               "peak over time of live activations in DRAM plus scratchpad bytes in use"},
    Definition{"peak_dram_activation_bytes", "bytes", "peak over time of live activations in DRAM"},
    Definition{"constant_bytes", "bytes", "all weights and parameters as stored in DRAM"},
    Definition{"peak_dram_bytes", "bytes", "peak_dram_activation_bytes + constant_bytes"},
    Definition{"peak_scratchpad_bytes", "bytes", "largest number of scratchpad bytes in use at any simulated instant"},
    Definition{"budget_bytes", "bytes", "scratchpad size the plan was made for"},
    Definition{"scratchpad_read_bytes", "bytes", "read from the scratchpad by engines and DMA"},
    Definition{"scratchpad_written_bytes", "bytes", "written to the scratchpad by engines and DMA"},
    Definition{"dram", "counts, bytes, cycles",
               "row hits and misses, refreshes and bus turnarounds met; bytes in whole bursts; data bus busy"},
    Definition{"matrix_cycles", "NPU clock cycles",
               "of all matrix commands: ideal (macs / cells), padding (ragged folds), fill (preload, fill, drain, "
               "issue)"},
    Definition{"energy_pj", "picojoules", "from the config's energy table, provisional"},
    Definition{"busy_cycles", "NPU clock cycles", "engine working; busy plus all waiting adds up to latency_cycles"},
    Definition{"critical_cycles", "NPU clock cycles",
               "the group's part of the critical path; over all groups they add up to latency_cycles"},
    Definition{"exported", "counts", "operators as the exporter wrote them; largest activations in elements"},
    Definition{"executed", "counts, operations, bytes, cycles",
               "operators as the NPU runs them; busy cycles of each kind of engine, and a fused command's cycles are "
               "shared out by the lane-cycles of its operators"},
    Definition{"sensitivity", "cycles, bytes, picojoules",
               "one knob turned at a time, re-planned and re-simulated; stopped_helping: doubling gains less than "
               "0.5 % of latency"},
    Definition{"pipeline", "cycles, bytes, picojoules",
               "prompt to image: each line's one run, times how often it runs"},
};

}  // namespace

std::span<const Definition> metric_definitions() { return kDefinitions; }

}  // namespace spillway::reports
