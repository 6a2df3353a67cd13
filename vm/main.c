/* tranship: the command. Everything an operator would call policy is Lua; this
 * opens a host, hands it the arguments, and passes its exit code on. */
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "tranship/host.h"
#include "tranship/log.h"

enum { EXIT_BROKEN = 1, EXIT_WRONG = 3 };

static void set_log_level(void) {
  const char *name = getenv("TRANSHIP_LOG");
  int level = name != NULL ? tsh_level_find(name) : -1;

  if (level >= 0)
    tsh_log_set_level((tsh_level)level);
}

/* `--stdlib DIR` comes first and is the host's own; the rest is Lua's. It goes
 * into the environment, so that processes we start use the same library. */
static bool take_stdlib(int *argc, char ***argv) {
  char folder[PATH_MAX];

  if (*argc < 1 || strcmp((*argv)[0], "--stdlib") != 0)
    return true;
  if (*argc < 2 || realpath((*argv)[1], folder) == NULL) {
    fprintf(stderr, "tranship: --stdlib needs a folder that is there\n");
    return false;
  }
  setenv("TRANSHIP_STDLIB", folder, 1);
  *argc -= 2;
  *argv += 2;
  return true;
}

int main(int argc, char **argv) {
  tsh_host *host = NULL;
  tsh_err err;
  int code = EXIT_BROKEN;

  argv = uv_setup_args(argc, argv);
  argc--;
  argv++;
  signal(SIGPIPE, SIG_IGN);
  set_log_level();
  if (!take_stdlib(&argc, &argv))
    return EXIT_WRONG;
  if (tsh_host_open(&host, getenv("TRANSHIP_STDLIB"), &err) != 0) {
    fprintf(stderr, "tranship: %s\n", err.message);
    return EXIT_BROKEN;
  }
  if (tsh_host_run(host, "main.lua", argc, argv, &code, &err) != 0) {
    fprintf(stderr, "tranship: %s\n", err.message);
    code = EXIT_BROKEN;
  }
  fflush(stdout);
  tsh_host_leave(host);
  return code;
}
