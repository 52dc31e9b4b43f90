// The opcodes of unpickle(): what each takes from the stream and does to the stack.

#include <bit>
#include <cstdio>

#include "tarn/io/unpickler.h"

namespace tarn::detail {

bool Unpickler::step() {
  opcode_ = position_;
  if (position_ == bytes_.size()) fail("the end of the pickle comes before its STOP");
  const auto code = static_cast<unsigned char>(take(1)[0]);
  switch (code) {
    case '.':
      return false;
    case '(':
      push_mark();
      return true;
    case 'N':
      push(Value());
      return true;
    case 0x88:
      push(Value(true));
      return true;
    case 0x89:
      push(Value(false));
      return true;
    case 'K':
      push(Value(take_uint(1)));
      return true;
    case 'M':
      push(Value(take_uint(2)));
      return true;
    case 'J':
      push(Value(static_cast<int32_t>(take_uint(4))));
      return true;
    case 0x8A:
      push(take_long(take_uint(1)));
      return true;
    case 'G': {
      uint64_t bits = 0;  // the one big-endian number of the format
      for (const char c : take(8)) bits = bits << 8 | static_cast<unsigned char>(c);
      push(Value(std::bit_cast<double>(bits)));
      return true;
    }
    case 'X':
      push(Value(take_text(take_uint(4))));
      return true;
    case 'U':
      push(Value(take_text(take_uint(1))));
      return true;
    case 'T':
      push(Value(take_text(take_uint(4))));
      return true;
    case ')':
      make_tuple({});
      return true;
    case 0x85:
    case 0x86:
    case 0x87: {
      std::vector<Item> items(code - 0x84u);
      for (size_t i = items.size(); i-- > 0;) items[i] = pop();
      make_tuple(std::move(items));
      return true;
    }
    case 't':
      make_tuple(pop_mark());
      return true;
    case ']':
      push(make_container(Value::list()));
      return true;
    case '}':
      push(make_container(Value::dict()));
      return true;
    case 'a': {
      Item item = pop();
      append({std::move(item)});
      return true;
    }
    case 'e':
      append(pop_mark());
      return true;
    case 's': {
      Item value = pop(), key = pop();
      set_items({std::move(key), std::move(value)});
      return true;
    }
    case 'u':
      set_items(pop_mark());
      return true;
    case 'q':
      put(take_uint(1));
      return true;
    case 'r':
      put(take_uint(4));
      return true;
    case 'h':
      get(take_uint(1));
      return true;
    case 'j':
      get(take_uint(4));
      return true;
    case 'c': {
      std::string module = take_line();
      push(find_global(*this, std::move(module), take_line()));
      return true;
    }
    case 'Q':
      load_persistent(pop());
      return true;
    case 'R':
    case 0x81: {
      const Item arguments = pop(), function = pop();
      const auto* global = std::get_if<GlobalRef>(&function);
      if (global == nullptr) fail("REDUCE calls something else than a global");
      push(call(*global, to_arguments(arguments)));
      return true;
    }
    case 'b':
      build();
      return true;
    default:
      return step_modern(code);
  }
}

// What torch.save writes only when asked for pickle_protocol 3 to 5.
bool Unpickler::step_modern(unsigned char code) {
  switch (code) {
    case 0x95:  // FRAME: its length must fit, and means nothing more
      if (take_uint(8) > bytes_.size() - position_) fail("a frame's length goes past the end");
      return true;
    case 0x94:
      put(memo_.size());
      return true;
    case 0x8C:
      push(Value(take_text(take_uint(1))));
      return true;
    case 0x8D:
      push(Value(take_text(take_uint(8))));
      return true;
    case 0x93: {
      const std::string name = pop_name();
      push(find_global(*this, pop_name(), name));
      return true;
    }
    case 'C':
      push(Value::bytes(std::string(take(take_uint(1)))));
      return true;
    case 'B':
      push(Value::bytes(std::string(take(take_uint(4)))));
      return true;
    case 0x8E:
      push(Value::bytes(std::string(take(take_uint(8)))));
      return true;
    case 0x8B:
      push(take_long(take_uint(4)));
      return true;
    default: {
      char shown[8];
      std::snprintf(shown, sizeof shown, "0x%02X", code);
      fail(str("unsupported pickle opcode ", shown));
    }
  }
}

}  // namespace tarn::detail
