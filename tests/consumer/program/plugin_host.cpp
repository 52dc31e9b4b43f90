// plugin_host LIBRARY: opens and closes the plugin, twice, in 100 processes, each of which has to
// end without a complaint.
#include <dlfcn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

static bool open_and_close(const char* path) {
  void* const library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!library) return std::fprintf(stderr, "%s\n", dlerror()), false;
  const auto use_tensors = reinterpret_cast<double (*)()>(dlsym(library, "use_tensors"));
  return use_tensors && use_tensors() == 12 && dlclose(library) == 0;
}

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  int clean = 0;
  for (int i = 0; i < 100; ++i) {
    const pid_t child = fork();
    if (child == 0) std::exit(open_and_close(argv[1]) && open_and_close(argv[1]) ? 0 : 1);
    int status = 0;
    clean += waitpid(child, &status, 0) == child && status == 0;
  }
  if (clean != 100) std::printf("%d of 100 processes ended cleanly\n", clean);
  return clean == 100 ? 0 : 1;
}
