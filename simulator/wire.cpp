#include "simulator/wire.h"

namespace spillway::simulator {

std::string to_bytes(const RawRun& run) {
  WireWriter out;
  out.list(run.commands);
  out.list(run.fetch_cycles);
  out.list(run.order);
  out.list(run.dma);
  out.list(run.moves);
  out.value(run.dram);
  out.value(run.cpu_seconds);
  return out.take();
}

RawRun raw_run_from(const std::string& bytes) {
  WireReader in(bytes);
  RawRun run;
  run.commands = in.list<CommandTimes>();
  run.fetch_cycles = in.list<std::int32_t>();
  run.order = in.list<std::int32_t>();
  run.dma = in.list<DmaRecord>();
  run.moves = in.list<partitioner::Moves>();
  run.dram = in.value<DramUse>();
  run.cpu_seconds = in.value<double>();
  return run;
}

std::string to_bytes(const Error& error) {
  WireWriter out;
  out.value(error.kind());
  const Place& place = error.place();
  for (const std::string* s : {&place.file, &place.node, &place.tensor, &place.key, &error.problem(), &error.help()}) {
    out.text(*s);
  }
  out.value(place.line);
  return out.take();
}

Error error_from(const std::string& bytes) {
  WireReader in(bytes);
  const auto kind = in.value<ErrorKind>();
  Place place;
  std::string problem, help;
  for (std::string* s : {&place.file, &place.node, &place.tensor, &place.key, &problem, &help}) *s = in.text();
  place.line = in.value<int>();
  return {kind, place, problem, help};
}

}  // namespace spillway::simulator
