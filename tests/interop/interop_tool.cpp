// The C++ half of the exchange with PyTorch, driven by run.py: writes and describes files, trains.
//
//   interop_tool write DIR           one file of each kind in DIR; prints "name<TAB>description"
//   interop_tool describe FILE...    prints the description of each, or "error: ..."
//   interop_tool describe-elements FILE...  the same without strides and storages; each file is
//                                    loaded, mapped and opened, which must not differ
//   interop_tool rewrite IN OUT...   loads each IN and saves it as OUT, with whole storages
//   interop_tool rewrite-mapped IN OUT...  the same, each IN mapped
//   interop_tool convert IN OUT...   the same without what the storages hold besides
//   interop_tool train DIR           trains small nets; saves them, their optimizers and outputs
//   interop_tool resume DIR          goes on from such files that PyTorch wrote
//
// A description tells all that must survive a file: kinds, order, values to the last bit, and which
// tensors share storage. run.py makes the same text from Python's objects.

#include <tarn/tarn.h>

#include <bit>
#include <cstdio>
#include <iostream>
#include <map>

using namespace tarn;

namespace {

std::string hex(const void* data, size_t size) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (size_t i = 0; i < size; ++i) {
    const auto byte = static_cast<const unsigned char*>(data)[i];
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

class Describer {
 public:
  explicit Describer(bool elements_only = false) : elements_only_(elements_only) {}

  std::string operator()(const Value& value) {
    switch (value.kind()) {
      case Value::Kind::None:
        return "None";
      case Value::Kind::Bool:
        return value.to_bool() ? "True" : "False";
      case Value::Kind::Int:
        return str(value.to_int());
      case Value::Kind::Double: {
        const auto bits = std::bit_cast<uint64_t>(value.to_double());
        return "float:" + hex(&bits, sizeof bits);
      }
      case Value::Kind::String:
        return "str:" + hex(value.to_string().data(), value.to_string().size());
      case Value::Kind::Bytes:
        return "bytes:" + hex(value.to_bytes().data(), value.to_bytes().size());
      case Value::Kind::Tensor:
        return tensor(value.to_tensor());
      case Value::Kind::Dict: {
        std::string text = value.is_ordered_dict() ? "OrderedDict{" : "dict{";
        for (const auto& [key, item] : value.entries())
          text += (*this)(key) + ": " + (*this)(item) + ", ";
        text += '}';
        const bool is_plain = elements_only_ || value.metadata().is_none();
        return is_plain ? text : text + " _metadata " + (*this)(value.metadata());
      }
      default: {
        std::string text = value.is_list() ? "[" : "(";
        for (const Value& element : value) text += (*this)(element) + ", ";
        return text + (value.is_list() ? "]" : ")");
      }
    }
  }

 private:
  std::string tensor(const Tensor& x) {
    if (elements_only_) {
      const Tensor dense = x.contiguous();
      return str("Tensor(", python_name(x.scalar_type()), ", ", x.sizes(), ", ",
                 hex(dense.data_ptr(), dense.nbytes()), ")");
    }
    const void* storage = x.storage().unsafeGetStorageImpl();
    const size_t number = storages_.emplace(storage, storages_.size()).first->second;
    const Tensor dense = x.detach().contiguous();
    return str("Tensor(", python_name(x.scalar_type()), ", ", x.sizes(), ", ", x.strides(),
               ", offset ", x.storage_offset(), ", storage ", number, " of ", x.storage().nbytes(),
               x.requires_grad() ? ", grad" : "", ", ", hex(dense.data_ptr(), dense.nbytes()), ")");
  }

  bool elements_only_;
  std::map<const void*, size_t> storages_;
};

std::string describe(const std::string& path) { return Describer()(load(path)); }

std::string describe_elements(const std::string& path) {
  const std::string text = Describer(true)(load(path));
  const std::string mapped = Describer(true)(load(path, {.mmap = true}));
  if (mapped != text) return "mapped, it is " + mapped;
  const TensorFile file = open(path);
  for (const TensorInfo& info : file.tensors()) {
    const std::string one = Describer(true)(file.at(info.name));
    if (text.find(one) == std::string::npos) return "opened, " + str(info) + " is " + one;
  }
  return text;
}

std::map<std::string, Value> cases() {
  manual_seed(1);
  const Tensor base = arange(24, kFloat).reshape({4, 6});
  const Tensor x = arange(4), y = zeros({4});
  std::map<std::string, Value> all;
  all["tensor"] = x;
  all["list"] = std::vector<Tensor>{x, y};
  all["tuple"] = Value::tuple({x, y, 3});
  all["map"] = std::map<std::string, Tensor>{{"x", x}, {"y", y}};
  all["one_entry"] = std::map<std::string, Tensor>{{"x", x}};
  all["ordered"] = OrderedDict<std::string, Tensor>{{"z", x}, {"a", y}};
  all["empty_dict"] = Value::dict();
  all["data"] =
      Value::dict({{"ints", Value::list({0, 255, 256, 65535, 65536, -1, INT64_MAX, INT64_MIN})},
                   {"floats", Value::tuple({0.1, -0.0, 1e300})},
                   {"text", Value::list({"", "a", "\xC3\xA9\xF0\x9F\x98\x80"})},
                   {"bytes", Value::bytes(std::string("\0\x7F\xFF", 3))},
                   {"flags", Value::tuple({true, false, std::nullopt})},
                   {3, Value::dict()}});
  for (int i = 0; i < kNumScalarTypes; ++i) {
    const auto dtype = static_cast<ScalarType>(i);
    all[std::string("dtype_") + python_name(dtype)] = tensor({0, 1, 2, 3, 1}).to(dtype);
  }
  all["views"] =
      std::vector<Tensor>{base, base.t(), base.slice(0, 1, 3).slice(1, 0, 6, 2), base[2][1]};
  all["view_alone"] = base.slice(1, 2, 4);
  all["expanded"] = ones({3, 1}).expand({3, 5});
  all["zero_dim"] = tensor(3.5);
  all["empty"] = std::vector<Tensor>{zeros({0}), zeros({2, 0, 3})};
  all["shared"] =
      Value::list({base, base, Value::dict({{"again", base}, {"view", base.view({24})}})});
  all["grad"] = ones({3}).requires_grad_(true);
  all["rank8"] = arange(256).reshape({2, 2, 2, 2, 2, 2, 2, 2});
  Value many = Value::dict(), long_list = Value::list();
  for (int i = 0; i < 1500; ++i) {
    many.set(str("key", i), full({i % 3}, i));
    long_list.push_back(i);
  }
  all["many"] = many;
  all["long_list"] = long_list;
  nn::Sequential net(nn::Linear(3, 4), nn::Tanh(), nn::Linear(4, 2));
  optim::Adam optimizer(net->parameters());
  optim::StepLR scheduler(optimizer, 3);
  net->forward(ones({2, 3})).sum().backward();
  optimizer.step();
  Checkpoint checkpoint;
  checkpoint.step = 7;
  checkpoint.add("model", net).add("optimizer", optimizer).add("scheduler", scheduler);
  all["checkpoint"] = checkpoint.state_dict();
  return all;
}

struct NetImpl : nn::Module {
  nn::Linear hidden{nullptr}, output{nullptr};
  NetImpl() {
    hidden = register_module("hidden", nn::Linear(20, 32));
    output = register_module("output", nn::Linear(32, 10));
  }
  Tensor forward(const Tensor& x) { return output(relu(hidden(x))); }
};
TARN_MODULE(Net);

void train_step(Net& net, optim::Optimizer& optimizer, const Tensor& x, const Tensor& target) {
  optimizer.zero_grad();
  nn::functional::cross_entropy(net(x), target).backward();
  optimizer.step();
}

// The optimizers of the exchange, each with two groups of different options.
template <typename F>
void for_each_optimizer(F&& f) {
  const auto groups = [](Net& net, auto options) {
    auto decayed = options;
    decayed.weight_decay(0.1);
    std::vector<optim::OptimizerParamGroup> result;
    result.emplace_back(net->hidden->parameters());
    result.emplace_back(net->output->parameters(), std::make_unique<decltype(options)>(decayed));
    return result;
  };
  {
    Net net;
    const optim::SGDOptions options = optim::SGDOptions(0.1).momentum(0.9);
    optim::SGD sgd(groups(net, options), options);
    f("sgd", net, sgd);
  }
  {
    Net net;
    const optim::AdamOptions options(1e-2);
    optim::Adam adam(groups(net, options), options);
    f("adam", net, adam);
  }
  {
    Net net;
    const optim::AdamWOptions options(1e-2);
    optim::AdamW adamw(groups(net, options), options);
    f("adamw", net, adamw);
  }
}

void write(const std::string& folder) {
  for (const auto& [name, value] : cases()) {
    save(value, folder + "/" + name + ".pt",
         {.durable = false, .keep_storage = name == "view_alone"});
    std::cout << name << '\t' << Describer()(value) << '\n';
    const bool flat = name.starts_with("dtype_") || name == "zero_dim" || name == "expanded";
    if (flat) save(Value::dict({{"t", value}}), folder + "/" + name + ".safetensors");
  }
}

void train(const std::string& folder) {
  manual_seed(2);
  const Tensor x = randn({16, 20}), target = randint(0, 10, {16});
  save(x, folder + "/x.pt");
  save(target, folder + "/target.pt");
  for_each_optimizer([&](const std::string& name, Net& net, optim::Optimizer& optimizer) {
    const std::string stem = folder + "/" + name;
    save(optimizer, stem + ".fresh.pt");
    for (int i = 0; i < 3; ++i) train_step(net, optimizer, x, target);
    save(net, stem + ".net.pt");
    save(optimizer, stem + ".optimizer.pt");
    save(net->state_dict(), stem + ".net.safetensors");
    save(net(x).detach(), stem + ".output.pt");
    train_step(net, optimizer, x, target);
    save(net(x).detach(), stem + ".next_output.pt");
  });
}

void resume(const std::string& folder) {
  Tensor x, target;
  load(x, folder + "/x.pt");
  load(target, folder + "/target.pt");
  for_each_optimizer([&](const std::string& name, Net& net, optim::Optimizer& optimizer) {
    const std::string stem = folder + "/" + name;
    load(net, stem + ".net.pt");
    load(optimizer, stem + ".optimizer.pt");
    save(net(x).detach(), stem + ".output_by_tarn.pt");
    train_step(net, optimizer, x, target);
    save(net(x).detach(), stem + ".next_output_by_tarn.pt");
  });
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  const std::string command = arguments.empty() ? "" : arguments[0];
  const bool is_copy = command.starts_with("rewrite") || command == "convert";
  if (command == "write" && argc == 3) {
    write(arguments[1]);
  } else if (command == "train" && argc == 3) {
    train(arguments[1]);
  } else if (command == "resume" && argc == 3) {
    resume(arguments[1]);
  } else if (command.starts_with("describe") || (is_copy && argc % 2 == 0)) {
    for (size_t i = 1; i < arguments.size(); ++i) {
      try {
        if (command == "describe") std::cout << describe(arguments[i]) << '\n';
        if (command == "describe-elements") std::cout << describe_elements(arguments[i]) << '\n';
        if (is_copy) {
          const Value value = load(arguments[i++], {.mmap = command == "rewrite-mapped"});
          save(value, arguments[i], {.durable = false, .keep_storage = command != "convert"});
        }
      } catch (const Error& error) {
        std::cout << "error: " << error.what() << '\n';
      }
    }
  } else {
    std::fprintf(stderr,
                 "usage: interop_tool write|train|resume DIR, describe|describe-elements FILE..., "
                 "rewrite|rewrite-mapped|convert IN OUT...\n");
    return 2;
  }
  return 0;
}
