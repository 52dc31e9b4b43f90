#include "tarn/nn/optim/adam.h"

namespace tarn::optim {

template <class Self>
void AdamOptionsOf<Self>::visit(OptionFields& fields) {
  fields("lr", step_.lr);
  fields("betas", step_.beta1, step_.beta2);
  fields("eps", step_.eps);
  fields("weight_decay", step_.weight_decay);
  fields("amsgrad", step_.amsgrad);
  fields("maximize", step_.maximize);
  fields.constant("foreach", {});
  fields.constant("capturable", false);
  fields.constant("differentiable", false);
  fields.constant("fused", {});
  fields("decoupled_weight_decay", step_.decoupled);
}

template <class Self>
void AdamOptionsOf<Self>::check() const {
  if (!(lr() >= 0)) throw ValueError(str("Invalid learning rate: ", lr()));
  if (!(eps() >= 0)) throw ValueError(str("Invalid epsilon value: ", eps()));
  if (!(step_.beta1 >= 0 && step_.beta1 < 1))
    throw ValueError(str("Invalid beta parameter at index 0: ", step_.beta1));
  if (!(step_.beta2 >= 0 && step_.beta2 < 1))
    throw ValueError(str("Invalid beta parameter at index 1: ", step_.beta2));
  if (!(weight_decay() >= 0)) throw ValueError(str("Invalid weight_decay value: ", weight_decay()));
}

template class AdamOptionsOf<AdamOptions>;
template class AdamOptionsOf<AdamWOptions>;

}  // namespace tarn::optim
