// One step of sampler arithmetic as a graph, so that it is planned and simulated like everything else.
#pragma once

#include "workloads/graph.h"

namespace spillway::cli {

/// A DDIM step (Song et al., ICLR 2021) is x' = a x + b e with two numbers per step. With guidance (Ho and Salimans,
/// 2021) e = u + s (c - u), and x' is written twice, as the two rows that the next U-Net run reads. Inputs latent,
/// noise (or noise_unconditional and noise_conditional), all of shape `latent`; output next_latent.
[[nodiscard]] workloads::Graph sampler_step(const workloads::Shape& latent, bool guidance);

}  // namespace spillway::cli
