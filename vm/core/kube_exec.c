/* Running a credential plugin: what it is told, and what it answers. It
 * blocks, so it runs on the thread pool. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "json.h"
#include "kube_int.h"

enum {
  LARGEST_ANSWER = 1 << 20,
  QUIET_MS = 60000,      /* without a person */
  PERSON_MS = 15 * 60000 /* a person may have to look something up */
};

extern char **environ;

/* What it is told. */

static void add_text(json_t *object, const char *key, const char *text) {
  if (text != NULL)
    json_object_set_new(object, key, json_string(text));
}

static json_t *cluster_info(const tsh_kube__access *access) {
  json_t *cluster = json_object();
  tsh_buf coded;

  add_text(cluster, "server", access->server);
  add_text(cluster, "tls-server-name", access->server_name);
  add_text(cluster, "proxy-url", access->proxy);
  if (access->insecure)
    json_object_set_new(cluster, "insecure-skip-tls-verify", json_true());
  if (access->ca != NULL) {
    tsh_buf_init(&coded, 2 * TSH_KUBE__LARGEST_FILE);
    tsh_base64_encode(access->ca, strlen(access->ca), &coded);
    add_text(cluster, "certificate-authority-data", tsh_buf_text(&coded));
    tsh_buf_fini(&coded);
  }
  if (access->exec.config != NULL)
    json_object_set_new(cluster, "config",
                        json_loads(access->exec.config, JSON_DECODE_ANY, NULL));
  return cluster;
}

static char *exec_info(const tsh_kube__access *access, bool is_interactive) {
  json_t *info = json_pack(
      "{s:o,s:s,s:{s:b}}", "apiVersion",
      json_sprintf("client.authentication.k8s.io/%s", access->exec.version),
      "kind", "ExecCredential", "spec", "interactive", (int)is_interactive);
  char *text;
  tsh_buf line;

  if (access->exec.wants_cluster)
    json_object_set_new(json_object_get(info, "spec"), "cluster",
                        cluster_info(access));
  tsh_buf_init(&line, 4 * TSH_KUBE__LARGEST_FILE);
  tsh_buf_add_string(&line, "KUBERNETES_EXEC_INFO=");
  tsh_json_write(info, 0, &line, NULL);
  json_decref(info);
  text = strdup(tsh_buf_text(&line));
  tsh_buf_fini(&line);
  return text;
}

/* Ours with the plugin's entries put over it; the strings are borrowed. */
static char **environment(const tsh_kube__exec *exec, char *info) {
  size_t ours = 0, count = 0;
  char **out;

  while (environ[ours] != NULL)
    ours++;
  out = calloc(ours + TSH_KUBE__MOST_ARGS + 2, sizeof *out);
  if (out == NULL)
    abort();
  out[count++] = info;
  for (size_t i = 0; exec->env[i] != NULL; i++)
    out[count++] = exec->env[i];
  for (size_t i = 0; i < ours; i++) {
    size_t name = strcspn(environ[i], "="), j = 0;

    while (j < count && strncmp(environ[i], out[j], name + 1) != 0)
      j++;
    if (j == count)
      out[count++] = environ[i];
  }
  return out;
}

/* Running it. */

static int64_t now_ms(void) {
  struct timespec t;

  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int start(const tsh_kube__exec *exec, char **env, bool is_interactive,
                 int out_fd, pid_t *pid) {
  const char *args[TSH_KUBE__MOST_ARGS + 2] = {exec->command};
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  sigset_t none;
  int rc;

  for (size_t i = 0; exec->args[i] != NULL; i++)
    args[i + 1] = exec->args[i];
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, out_fd, STDOUT_FILENO);
  if (!is_interactive)
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null",
                                     O_RDONLY, 0);
  posix_spawnattr_init(&attributes);
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  rc = posix_spawnp(pid, exec->command, &actions, &attributes,
                    (char *const *)args, env);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  return rc;
}

/* Reads to the end; false when the time is over or it says too much. */
static bool read_answer(int fd, int64_t deadline, tsh_buf *out) {
  char block[4096];
  ssize_t n = 1;

  while (n > 0 && !out->failed) {
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int64_t left = deadline - now_ms();

    if (left <= 0 || poll(&p, 1, (int)left) == 0)
      break;
    n = read(fd, block, sizeof block);
    if (n > 0)
      tsh_buf_add(out, block, (size_t)n);
    else if (n < 0 && errno == EINTR)
      n = 1;
  }
  explicit_bzero(block, sizeof block);
  return n == 0 && !out->failed;
}

static int fail(const tsh_kube__access *access, tsh_err *err, tsh_kind kind,
                const char *why) {
  const char *hint = kind == TSH_NOT_FOUND ? access->exec.hint : NULL;

  return tsh_err_set(err, kind, "kube", 0,
                     "%s: credential plugin %s %s%s%.250s", access->place,
                     access->exec.command, why, hint != NULL ? ": " : "",
                     hint != NULL ? hint : "");
}

static int run(const tsh_kube__access *access, tsh_buf *out, tsh_err *err) {
  const tsh_kube__exec *exec = &access->exec;
  bool is_interactive = exec->may_ask && isatty(STDIN_FILENO);
  int64_t deadline = now_ms() + (is_interactive ? PERSON_MS : QUIET_MS);
  char *info = exec_info(access, is_interactive);
  char **env = environment(exec, info), why[64];
  int fds[2], rc, how = 0;
  bool is_whole;
  pid_t pid;

  if (pipe2(fds, O_CLOEXEC) != 0)
    rc = errno;
  else
    rc = start(exec, env, is_interactive, fds[1], &pid);
  free(env);
  free(info);
  if (rc != 0)
    return fail(access, err, rc == ENOENT ? TSH_NOT_FOUND : TSH_IO,
                rc == ENOENT ? "is not installed" : "cannot be started");
  close(fds[1]);
  is_whole = read_answer(fds[0], deadline, out);
  close(fds[0]);
  if (!is_whole)
    kill(pid, SIGKILL);
  while (waitpid(pid, &how, 0) < 0 && errno == EINTR)
    continue;
  if (!is_whole)
    return fail(access, err, TSH_TIMEOUT, "did not answer in time");
  if (how == 0)
    return 0;
  snprintf(why, sizeof why, "ended with %s %d",
           WIFEXITED(how) ? "code" : "signal",
           WIFEXITED(how) ? WEXITSTATUS(how) : WTERMSIG(how));
  return fail(access, err, TSH_AUTH, why);
}

/* What it answers. */

static const char *field(const json_t *object, const char *key) {
  const char *text = json_string_value(json_object_get(object, key));

  return text != NULL && *text != '\0' ? text : NULL;
}

static int take(tsh_secret **out, const char *text, tsh_err *err) {
  return text == NULL ? 0 : tsh_kube__secret(out, text, strlen(text), err);
}

static bool read_time(const char *text, int64_t *out) {
  struct tm tm = {0};
  const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
  int hours, minutes;
  char sign;

  if (rest == NULL)
    return false;
  *out = timegm(&tm);
  rest += *rest == '.' ? 1 + strspn(rest + 1, "0123456789") : 0;
  if (sscanf(rest, "%c%2d:%2d", &sign, &hours, &minutes) == 3)
    *out -= (sign == '-' ? -60 : 60) * (hours * 60 + minutes);
  return true;
}

static int read_status(const tsh_kube__access *access, json_t *tree,
                       tsh_kube__credential *out, tsh_err *err) {
  json_t *status = json_object_get(tree, "status");
  const char *kind = field(tree, "kind"), *version = field(tree, "apiVersion");
  const char *expires = field(status, "expirationTimestamp");
  int rc;

  if (kind == NULL || strcmp(kind, "ExecCredential") != 0 || version == NULL ||
      strncmp(version, "client.authentication.k8s.io/", 29) != 0 ||
      strcmp(version + 29, access->exec.version) != 0)
    return fail(access, err, TSH_PROTOCOL,
                "answered with no ExecCredential of the version asked for");
  if (expires != NULL && !read_time(expires, &out->expires))
    return fail(access, err, TSH_PROTOCOL,
                "answered with an expirationTimestamp that is no time");
  rc = take(&out->token, field(status, "token"), err);
  if (rc == 0)
    rc = take(&out->cert, field(status, "clientCertificateData"), err);
  if (rc == 0)
    rc = take(&out->key, field(status, "clientKeyData"), err);
  if (rc != 0)
    return rc;
  if ((out->cert != NULL) != (out->key != NULL) ||
      (out->token == NULL && out->cert == NULL))
    return fail(access, err, TSH_PROTOCOL,
                "answered with neither a token nor a certificate and its key");
  return out->cert != NULL
             ? tsh_kube__check_pair(out->cert, out->key, access->place, err)
             : 0;
}

int tsh_kube__exec_run(const tsh_kube__access *access,
                       tsh_kube__credential *out, tsh_err *err) {
  tsh_buf answer;
  json_t *tree = NULL;
  int rc;

  if (access->exec.must_ask && !isatty(STDIN_FILENO))
    return fail(access, err, TSH_AUTH,
                "must ask a person, and standard input is no terminal");
  tsh_buf_init(&answer, LARGEST_ANSWER);
  rc = run(access, &answer, err);
  if (rc == 0 &&
      tsh_json_read(&tree, tsh_buf_text(&answer), answer.length, NULL) != 0)
    rc = fail(access, err, TSH_PROTOCOL, "answered with no JSON");
  if (rc == 0)
    rc = read_status(access, tree, out, err);
  json_decref(tree);
  tsh_buf_wipe(&answer);
  if (rc != 0)
    tsh_kube__credential_fini(out);
  return rc;
}
