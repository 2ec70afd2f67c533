// Whether the commands that compute do what the graph says: every step has the inputs that its region map asks for,
// writes what it computes, and costs what it must; and whether, at the end, everything has been computed.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "partitioner/program.h"
#include "partitioner/region_set.h"

namespace spillway::partitioner {

class KernelRules {
 public:
  using Report = std::function<void(std::int32_t command, const std::string& what)>;

  /// The Program's references are valid and it outlives the rules.
  KernelRules(const Program& program, Report report);

  /// Commands in stream order; `c` has a kernel.
  void check(std::int32_t c);
  /// Of every operand that is read: statistics must be complete.
  void check_complete(std::int32_t c, const Operand& operand);
  /// After the last command: every node has run over all of its output.
  void finish();

 private:
  struct Step;  // what is known of one step while its command is checked

  bool begin_step(Step& step);
  void check_inputs(const Step& step);
  void check_drain_inputs(const Step& step);
  void check_input(const Step& step, int i, const KernelInput& given, const Box& needed);
  void check_source(const Step& step, int i, const KernelInput& given, const Box& needed);
  void check_result(const Step& step, const Operand& operand);
  void check_move(const Step& step);
  void check_work(const Step& first);
  void account(const Step& step);
  void accumulate(const Step& step);
  [[nodiscard]] Box output_box(const Step& step) const;
  [[nodiscard]] std::string name(const Step& step, int input) const;

  const Program& program_;
  Report report_;
  std::vector<Box> whole_;             // by tensor
  std::vector<RegionSet> produced_;    // by node: of output 0 (statistics: of input 0, exactly once)
  std::vector<NodeId> statistics_of_;  // by storage: the node that accumulates it, or kNone
};

}  // namespace spillway::partitioner
