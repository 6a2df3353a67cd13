/* Kubeconfigs, credentials and classes, without a cluster: the server is a
 * loopback peer that notes what it was sent. */
#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "http_peer.h"
#include "tranship/kube.h"

static char dir[64];
static tsh_loop *loop;

static void put(const char *name, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Writes dir/NAME. */
static void put(const char *name, const char *format, ...) {
  char path[256];
  FILE *file;
  va_list args;

  snprintf(path, sizeof path, "%s/%s", dir, name);
  file = fopen(path, "w");
  assert_non_null(file);
  va_start(args, format);
  vfprintf(file, format, args);
  va_end(args);
  fchmod(fileno(file), 0700);
  fclose(file);
}

static int set_up(void **state) {
  (void)state;
  snprintf(dir, sizeof dir, "/tmp/tranship-kube.XXXXXX");
  unsetenv("KUBECONFIG");
  unsetenv("KUBERNETES_SERVICE_HOST");
  return mkdtemp(dir) == NULL || tsh_loop_open(&loop, NULL) != 0 ? -1 : 0;
}

static int tear_down(void **state) {
  char command[128];

  (void)state;
  tsh_loop_close(loop);
  snprintf(command, sizeof command, "rm -rf %s", dir);
  return system(command);
}

static int open_in(tsh_kube **out, const char *name, const char *context,
                   tsh_err *err) {
  char path[256];
  tsh_kube_setup setup = {.context = context, .agent = "test/1"};

  memset(err, 0, sizeof *err);
  if (name != NULL) {
    snprintf(path, sizeof path, "%s/%s", dir, name);
    setup.kubeconfig = path;
  }
  return tsh_kube_open(out, loop, &setup, err);
}

/* One user's fields in an otherwise good kubeconfig at lines 1 to 4. */
static void put_user(const char *name, int port, const char *user) {
  put(name,
      "clusters: [{name: c, cluster: {server: \"http://127.0.0.1:%d\"}}]\n"
      "contexts: [{name: x, context: {cluster: c, user: u, namespace: n}}]\n"
      "current-context: x\n"
      "users: [{name: u, user: {%s}}]\n",
      port, user);
}

static void expect_refused(const char *config, tsh_kind kind,
                           const char *part) {
  tsh_kube *kube;
  tsh_err err;

  put("bad", "%s", config);
  assert_int_equal(open_in(&kube, "bad", NULL, &err), kind);
  if (strstr(err.message, part) == NULL)
    fail_msg("'%s' does not say '%s'", err.message, part);
}

#define GOOD_CLUSTER "clusters: [{name: c, cluster: {server: 'https://h:1'}}]\n"
#define GOOD_CONTEXT                                                           \
  "contexts: [{name: x, context: {cluster: c, user: u}}]\ncurrent-context: "   \
  "x\n"

static void test_refused(void **state) {
  tsh_kube *kube;
  tsh_err err;

  (void)state;
  assert_int_equal(open_in(&kube, "absent", NULL, &err), TSH_NOT_FOUND);
  assert_non_null(strstr(err.message, "absent: No such file"));
  expect_refused("a: [1\n", TSH_PROTOCOL, "/bad:2:1: ");
  expect_refused("kind: Pod\n", TSH_INVALID, "/bad:1: kubeconfig");
  expect_refused("clusters: 7\n" GOOD_CONTEXT, TSH_INVALID,
                 "/bad:1: kubeconfig");
  expect_refused(GOOD_CLUSTER "contexts: []\n", TSH_INVALID,
                 "has no current-context");
  expect_refused(GOOD_CLUSTER GOOD_CONTEXT "users: []\n", TSH_INVALID,
                 "/bad:2: context 'x', user: there is no user 'u'");
  expect_refused("clusters: [{name: c, cluster: {}}]\n" GOOD_CONTEXT
                 "users: [{name: u}]\n",
                 TSH_INVALID, "/bad:1: cluster 'c', server: it has no server");
  expect_refused(
      "clusters:\n- name: c\n  cluster:\n    server: ftp://h\n" GOOD_CONTEXT
      "users: [{name: u}]\n",
      TSH_INVALID, "/bad:4: cluster 'c', server: 'ftp://h'");
  expect_refused("clusters:\n- name: c\n  cluster:\n    server: https://h\n"
                 "    insecure-skip-tls-verify: maybe\n" GOOD_CONTEXT
                 "users: [{name: u}]\n",
                 TSH_INVALID, "/bad:5: cluster 'c', insecure-skip-tls-verify");
  expect_refused("clusters:\n- name: c\n  cluster:\n    server: https://h\n"
                 "    certificate-authority-data: '!!'\n" GOOD_CONTEXT
                 "users: [{name: u}]\n",
                 TSH_INVALID, "this is not base64");
  expect_refused("clusters:\n- name: c\n  cluster:\n    server: https://h\n"
                 "    certificate-authority: none.crt\n" GOOD_CONTEXT
                 "users: [{name: u}]\n",
                 TSH_INVALID, "/bad:5: cluster 'c', certificate-authority: ");
}

static void test_refused_users(void **state) {
  static const struct {
    const char *user, *part;
  } cases[] = {
      {"token: [1]", "/bad:4: user 'u', token: text is wanted"},
      {"tokenFile: none", "/bad:4: user 'u', tokenFile: "},
      {"username: a, token: b", "username: it also has a token"},
      {"client-certificate-data: YQ==", "a client certificate and no client"},
      {"client-certificate-data: YQ==, client-key-data: YQ==",
       "is no PEM certificate"},
      {"auth-provider: {name: gcp}", "auth-provider: Kubernetes 1.26"},
      {"exec: {command: x}", "exec of user 'u', apiVersion: "},
      {"exec: {command: x, apiVersion: client.authentication.k8s.io/v1}",
       "interactiveMode: v1 wants"},
      {"token: t, exec: {command: x}", "exec: it also has a token"},
  };
  tsh_kube *kube;
  tsh_err err;

  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    put_user("bad", 1, cases[i].user);
    assert_int_equal(open_in(&kube, "bad", NULL, &err), TSH_INVALID);
    if (strstr(err.message, cases[i].part) == NULL)
      fail_msg("'%s' does not say '%s'", err.message, cases[i].part);
  }
}

static void test_merged(void **state) {
  tsh_kube *kube;
  tsh_kube_about about;
  tsh_err err;
  char list[300];

  (void)state;
  put("one", GOOD_CLUSTER "current-context: y\n"
                          "users: [{name: u, user: {token: first}}]\n");
  put("two",
      "clusters: [{name: c, cluster: {server: 'https://second:2'}}]\n"
      "contexts: [{name: y, context: {cluster: c, user: u, namespace: ns}},"
      " {name: z, context: {cluster: c, user: u}}]\ncurrent-context: z\n");
  snprintf(list, sizeof list, "%s/none:%s/one::%s/two", dir, dir, dir);
  setenv("KUBECONFIG", list, 1);
  assert_int_equal(open_in(&kube, NULL, NULL, &err), 0);
  about = tsh_kube_about_of(kube);
  assert_string_equal(about.context, "y"); /* the first file says so */
  assert_string_equal(about.server, "https://h:1");
  assert_string_equal(about.ns, "ns");
  tsh_kube_close(kube);
  assert_int_equal(open_in(&kube, NULL, "z", &err), 0);
  assert_string_equal(tsh_kube_about_of(kube).ns, "default");
  tsh_kube_close(kube);
  assert_int_equal(open_in(&kube, NULL, "w", &err), TSH_NOT_FOUND);
  assert_non_null(strstr(err.message, "no context 'w'"));
  assert_non_null(strstr(err.message, "it has: y, z"));
  unsetenv("KUBECONFIG");
}

static void test_insecure(void **state) {
  tsh_kube *kube;
  tsh_err err;

  (void)state;
  put("loose", "clusters: [{name: c, cluster: {server: 'https://h:1/', "
               "insecure-skip-tls-verify: true}}]\n" GOOD_CONTEXT
               "users: [{name: u}]\n");
  assert_int_equal(open_in(&kube, "loose", NULL, &err), 0);
  assert_non_null(strstr(tsh_kube_about_of(kube).warning, "loose:1: insecure"));
  assert_string_equal(tsh_kube_about_of(kube).server, "https://h:1");
  tsh_kube_close(kube);
}

/* Requests. */

static void is_done(tsh_op *op) { *(bool *)op->user = true; }

/* The status of a request, or the kind of its error. */
static int ask(tsh_kube *kube, tsh_kube_ask ask, tsh_err *err) {
  tsh_kube_call *call;
  bool done = false;
  tsh_op *op;
  int rc;

  if (ask.method == NULL)
    ask.method = "GET";
  ask.limit = 1 << 20;
  ask.timeout_ms = 60000;
  rc = tsh_kube_start(&call, kube, &ask, err);
  if (rc != 0)
    return rc;
  op = tsh_kube_op(call);
  op->done = is_done;
  op->user = &done;
  while (!done && tsh_loop_turn(loop))
    continue;
  rc = op->status != 0 ? op->status : tsh_http_status(tsh_kube_http(call));
  *err = op->err;
  tsh_kube_free(call);
  return rc;
}

/* Says 401 to whoever does not have the token of `user`. */
static void want_token(http_peer *p, int number) {
  char header[128];
  bool good;

  (void)number;
  snprintf(header, sizeof header, "Authorization: Bearer %s\r\n",
           (const char *)p->user);
  good = strstr(p->request, header) != NULL;
  http_say(p, good
                  ? "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
                  : "HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\n{}");
}

static void test_request(void **state) {
  const tsh_kube_query query[] = {{"labelSelector", "a=b c&d"}, {NULL, NULL}};
  http_peer peer;
  tsh_kube *kube;
  tsh_err err;

  (void)state;
  http_peer_start(&peer, want_token, "t0ken");
  put_user("good", peer.port,
           "token: t0ken, as: boss, as-groups: [g1, g2], as-user-extra: "
           "{why: [because]}");
  assert_int_equal(open_in(&kube, "good", NULL, &err), 0);
  assert_int_equal(
      ask(kube, (tsh_kube_ask){.path = "/api/v1/a b%/c", .query = query}, &err),
      200);
  assert_non_null(strstr(peer.request, "GET /api/v1/a%20b%25/"
                                       "c?labelSelector=a%3Db%20c%26d "));
  assert_non_null(strstr(peer.request, "User-Agent: test/1\r\n"));
  assert_non_null(strstr(peer.request, "Impersonate-User: boss\r\n"));
  assert_non_null(strstr(peer.request, "Impersonate-Group: g2\r\n"));
  assert_non_null(strstr(peer.request, "Impersonate-Extra-why: because\r\n"));
  assert_int_equal(ask(kube, (tsh_kube_ask){.path = "/api/../x"}, &err),
                   TSH_INVALID);
  tsh_kube_close(kube);
  http_peer_stop(&peer);
}

/* Another token in the file is used with the next request. */
static void test_token_file(void **state) {
  http_peer peer;
  tsh_kube *kube;
  tsh_err err;

  (void)state;
  http_peer_start(&peer, want_token, "old");
  put("tokens", "old\n");
  put_user("rotating", peer.port, "tokenFile: tokens");
  assert_int_equal(open_in(&kube, "rotating", NULL, &err), 0);
  assert_int_equal(ask(kube, (tsh_kube_ask){.path = "/x"}, &err), 200);
  peer.user = "new";
  assert_int_equal(ask(kube, (tsh_kube_ask){.path = "/x"}, &err), 401);
  put("tokens.new", "new\n");
  {
    char from[128], to[128];

    snprintf(from, sizeof from, "%s/tokens.new", dir);
    snprintf(to, sizeof to, "%s/tokens", dir);
    assert_int_equal(rename(from, to), 0);
  }
  assert_int_equal(ask(kube, (tsh_kube_ask){.path = "/x"}, &err), 200);
  tsh_kube_close(kube);
  http_peer_stop(&peer);
}

static int runs(void) {
  char path[128];
  struct stat found;

  snprintf(path, sizeof path, "%s/runs", dir);
  return stat(path, &found) == 0 ? (int)found.st_size : 0;
}

static void put_plugin(const char *token, const char *expires) {
  put("plugin",
      "#!/bin/sh\nprintf x >>%s/runs\ncase $KUBERNETES_EXEC_INFO in\n"
      "*'\"interactive\":false'*'\"server\":\"http://127'*|"
      "*'\"server\":\"http://127'*'\"interactive\":false'*) ;;\n*) exit 3;; "
      "esac\n[ \"$1 $MORE\" = \"give it\" ] || exit 4\n"
      "echo '{\"apiVersion\": \"client.authentication.k8s.io/v1\", \"kind\": "
      "\"ExecCredential\", \"status\": {\"token\": \"%s\"%s}}'\n",
      dir, token, expires);
}

static const char exec_user[] =
    "exec: {apiVersion: client.authentication.k8s.io/v1, command: ./plugin, "
    "args: [give], env: [{name: MORE, value: it}], interactiveMode: Never, "
    "provideClusterInfo: true}";

/* Run once for several calls, again when it expires or is refused. */
static void test_plugin(void **state) {
  http_peer peer;
  tsh_kube *kube;
  tsh_err err;

  (void)state;
  http_peer_start(&peer, want_token, "one");
  put_user("plugged", peer.port, exec_user);
  put_plugin("one", "");
  assert_int_equal(open_in(&kube, "plugged", NULL, &err), 0);
  assert_int_equal(ask(kube, (tsh_kube_ask){.path = "/x"}, &err), 200);
  assert_int_equal(ask(kube, (tsh_kube_ask){.path = "/x"}, &err), 200);
  assert_int_equal(runs(), 1);
  peer.user = "two";
  put_plugin("two", ", \"expirationTimestamp\": \"2020-01-01T00:00:00Z\"");
  assert_int_equal(ask(kube, (tsh_kube_ask){.path = "/x"}, &err), 200);
  assert_int_equal(runs(), 2); /* refused, so asked again */
  assert_int_equal(ask(kube, (tsh_kube_ask){.path = "/x"}, &err), 200);
  assert_int_equal(runs(), 3); /* expired */
  tsh_kube_close(kube);
  http_peer_stop(&peer);
}

static void expect_plugin(const char *script, const char *user, tsh_kind kind,
                          const char *part) {
  tsh_kube *kube;
  tsh_err err;

  put("plugin", "#!/bin/sh\n%s\n", script);
  put_user("plugged", 9, user);
  assert_int_equal(open_in(&kube, "plugged", NULL, &err), 0);
  assert_int_equal(ask(kube, (tsh_kube_ask){.path = "/x"}, &err), kind);
  if (strstr(err.message, part) == NULL)
    fail_msg("'%s' does not say '%s'", err.message, part);
  tsh_kube_close(kube);
}

static void test_bad_plugins(void **state) {
  (void)state;
  expect_plugin("exit 7", exec_user, TSH_AUTH, "ended with code 7");
  expect_plugin("kill -9 $$", exec_user, TSH_AUTH, "ended with signal 9");
  expect_plugin("echo hello", exec_user, TSH_PROTOCOL, "no JSON");
  expect_plugin("echo '{\"kind\": \"Pod\"}'", exec_user, TSH_PROTOCOL,
                "no ExecCredential");
  expect_plugin("echo '{\"apiVersion\": \"client.authentication.k8s.io/v1\", "
                "\"kind\": \"ExecCredential\", \"status\": {}}'",
                exec_user, TSH_PROTOCOL, "neither a token");
  expect_plugin("",
                "exec: {apiVersion: client.authentication.k8s.io/v1beta1, "
                "command: no-such-plugin, installHint: brew it}",
                TSH_NOT_FOUND, "is not installed: brew it");
  if (!isatty(0))
    expect_plugin("",
                  "exec: {apiVersion: client.authentication.k8s.io/v1, "
                  "command: ./plugin, interactiveMode: Always}",
                  TSH_AUTH, "standard input is no terminal");
}

/* A session that is closed while its plugin runs. */
static void test_close_meanwhile(void **state) {
  tsh_kube *kube;
  tsh_kube_call *call;
  tsh_kube_ask one = {.method = "GET", .path = "/x", .limit = 100};
  bool done = false;
  tsh_err err;

  (void)state;
  put("plugin", "#!/bin/sh\nsleep 1\n");
  put_user("plugged", 9, exec_user);
  assert_int_equal(open_in(&kube, "plugged", NULL, &err), 0);
  assert_int_equal(tsh_kube_start(&call, kube, &one, &err), 0);
  tsh_kube_op(call)->done = is_done;
  tsh_kube_op(call)->user = &done;
  tsh_kube_close(kube);
  assert_true(done);
  assert_int_equal(tsh_kube_op(call)->status, TSH_CLOSED);
  tsh_kube_free(call);
  while (tsh_loop_turn(loop))
    continue;
}

static void test_account(void **state) {
  tsh_kube_setup setup = {.account = dir};
  char port[16];
  http_peer peer;
  tsh_kube *kube;
  tsh_err err;

  (void)state;
  setenv("HOME", dir, 1);
  assert_int_equal(tsh_kube_open(&kube, loop, &setup, &err), TSH_NOT_FOUND);
  assert_non_null(strstr(err.message, "name a kubeconfig"));
  http_peer_start(&peer, want_token, "pods");
  snprintf(port, sizeof port, "%d", peer.port);
  setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1", 1);
  setenv("KUBERNETES_SERVICE_PORT", port, 1);
  put("token", "pods");
  put("namespace", "mine\n");
  assert_int_equal(tsh_kube_open(&kube, loop, &setup, &err), TSH_NOT_FOUND);
  assert_non_null(strstr(err.message, "ca.crt"));
  put("ca.crt", "no certificate");
  assert_int_equal(tsh_kube_open(&kube, loop, &setup, &err), 0);
  assert_string_equal(tsh_kube_about_of(kube).ns, "mine");
  assert_string_equal(tsh_kube_about_of(kube).context, "in-cluster");
  assert_memory_equal(tsh_kube_about_of(kube).server, "https://127.0.0.1:", 18);
  tsh_kube_close(kube);
  http_peer_stop(&peer);
  unsetenv("KUBERNETES_SERVICE_HOST");
}

static void test_classes(void **state) {
  static const tsh_kube_query dry[] = {{"dryRun", "All"}, {NULL, NULL}};
  static const tsh_kube_query twice[] = {
      {"dryRun", "All"}, {"dryRun", "None"}, {NULL, NULL}};
  static const struct {
    const char *method, *path;
    const tsh_kube_query *query;
    tsh_kube_class want;
    const char *body;
  } cases[] = {
      {"GET", "/api/v1/pods", NULL, TSH_KUBE_READ},
      {"GET", "/api/v1/namespaces/a/pods/b/log", NULL, TSH_KUBE_READ},
      {"GET", "/api/v1/namespaces/a/pods/b/exec", NULL, TSH_KUBE_WRITE},
      {"GET", "/api/v1/namespaces/a/services/b/proxy/x", NULL, TSH_KUBE_WRITE},
      {"get", "/api/v1/pods", NULL, TSH_KUBE_WRITE},
      {"POST", "/api/v1/pods", NULL, TSH_KUBE_WRITE},
      {"POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", NULL,
       TSH_KUBE_READ},
      {"POST", "/apis/evil.example/v1/selfsubjectaccessreviews", NULL,
       TSH_KUBE_WRITE},
      {"POST", "/api/v1/namespaces/a/serviceaccounts/b/token", NULL,
       TSH_KUBE_WRITE},
      {"PATCH", "/api/v1/pods", dry, TSH_KUBE_DRY},
      {"PATCH", "/api/v1/pods", twice, TSH_KUBE_WRITE},
      {"BREW", "/api/v1/pods", dry, TSH_KUBE_WRITE},
      {"DELETE", "/api/v1/pods/a", dry, TSH_KUBE_DRY},
      {"DELETE", "/api/v1/pods/a", dry, TSH_KUBE_WRITE, "{}"},
      {"PATCH", "/api/v1/pods/a", dry, TSH_KUBE_DRY, "{}"},
  };

  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    tsh_kube_ask one = {.method = cases[i].method,
                        .path = cases[i].path,
                        .query = cases[i].query};

    if (cases[i].body != NULL)
      one.body = (tsh_http_bytes){cases[i].body, strlen(cases[i].body)};
    if (tsh_kube_class_of(&one) != cases[i].want)
      fail_msg("%s %s", cases[i].method, cases[i].path);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_refused),
      cmocka_unit_test(test_refused_users),
      cmocka_unit_test(test_merged),
      cmocka_unit_test(test_insecure),
      cmocka_unit_test(test_request),
      cmocka_unit_test(test_token_file),
      cmocka_unit_test(test_plugin),
      cmocka_unit_test(test_bad_plugins),
      cmocka_unit_test(test_close_meanwhile),
      cmocka_unit_test(test_account),
      cmocka_unit_test(test_classes),
  };

  return cmocka_run_group_tests(tests, set_up, tear_down);
}
