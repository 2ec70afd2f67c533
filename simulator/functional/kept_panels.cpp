#include "simulator/functional/kept_panels.h"

namespace spillway::simulator {

std::shared_ptr<workloads::compute::PackedPanels> KeptPanels::of(const Memory::Lent& lent, const workloads::Box& box) {
  const Key key{lent.data, box.begin, box.extent};
  if (const auto found = kept_.find(key); found != kept_.end()) return found->second.panels;
  const configs::Bytes bytes = box.elements() * static_cast<configs::Bytes>(sizeof(float));
  if (bytes > left_) return nullptr;
  left_ -= bytes;
  auto panels = std::make_shared<workloads::compute::PackedPanels>();
  kept_[key] = {lent.owner, panels};
  return panels;
}

}  // namespace spillway::simulator
