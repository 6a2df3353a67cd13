/* tranship: the command. Everything an operator would call policy is Lua; this
 * opens a host, hands it the arguments, and passes its exit code on. */
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "tranship/host.h"
#include "tranship/log.h"

enum { EXIT_BROKEN = 1 };

static void set_log_level(void) {
  const char *name = getenv("TRANSHIP_LOG");
  int level = name != NULL ? tsh_level_find(name) : -1;

  if (level >= 0)
    tsh_log_set_level((tsh_level)level);
}

/* `--stdlib DIR` comes first and is the host's own; the rest is Lua's. It goes
 * into the environment, so that processes we start use the same library. */
static const char *take_stdlib(int *argc, char ***argv) {
  char folder[PATH_MAX];

  if (*argc >= 2 && strcmp((*argv)[0], "--stdlib") == 0) {
    if (realpath((*argv)[1], folder) != NULL)
      setenv("TRANSHIP_STDLIB", folder, 1);
    else
      fprintf(stderr, "tranship: no folder %s\n", (*argv)[1]);
    *argc -= 2;
    *argv += 2;
  }
  return getenv("TRANSHIP_STDLIB");
}

int main(int argc, char **argv) {
  tsh_host *host = NULL;
  tsh_err err;
  const char *stdlib;
  int code = EXIT_BROKEN;

  argv = uv_setup_args(argc, argv);
  argc--;
  argv++;
  signal(SIGPIPE, SIG_IGN);
  set_log_level();
  stdlib = take_stdlib(&argc, &argv);
  if (tsh_host_open(&host, stdlib, &err) != 0) {
    fprintf(stderr, "tranship: %s\n", err.message);
    return EXIT_BROKEN;
  }
  if (tsh_host_run(host, "main.lua", argc, argv, &code, &err) != 0) {
    fprintf(stderr, "tranship: %s\n", err.message);
    code = EXIT_BROKEN;
  }
  fflush(stdout);
  tsh_host_close(host);
  return code;
}
