#include "tarn/nn/optim/sgd.h"

namespace tarn::optim {

void SGDOptions::visit(OptionFields& fields) {
  fields("lr", step_.lr);
  fields("momentum", step_.momentum);
  fields("dampening", step_.dampening);
  fields("weight_decay", step_.weight_decay);
  fields("nesterov", step_.nesterov);
  fields("maximize", step_.maximize);
  fields.constant("foreach", {});
  fields.constant("differentiable", false);
  fields.constant("fused", {});
}

void SGDOptions::check() const {
  if (!(lr() >= 0)) throw ValueError(str("Invalid learning rate: ", lr()));
  if (!(momentum() >= 0)) throw ValueError(str("Invalid momentum value: ", momentum()));
  if (!(weight_decay() >= 0)) throw ValueError(str("Invalid weight_decay value: ", weight_decay()));
  if (nesterov() && !(momentum() > 0 && dampening() == 0)) {
    throw ValueError("Nesterov momentum requires a momentum and zero dampening");
  }
}

bool SGD::uses_buffer(const OptimizerOptions& options, int i) const {
  return i == 0 && static_cast<const SGDOptions&>(options).momentum() != 0;
}

void SGD::update(const KernelTable& table, const OptimizerOptions& options,
                 const OptimTensor* tensors, int64_t count) const {
  if (!table.sgd_step) missing_kernel("sgd_step", table);
  table.sgd_step(static_cast<const SGDOptions&>(options).step_, tensors, count);
}

}  // namespace tarn::optim
