/* Logins: a counted holder of counted credentials, and the token in use. */
#include "tranship/login.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "login_int.h"

const char *const tsh_sasl__names[] = {"", "PLAIN", "SCRAM-SHA-256",
                                       "SCRAM-SHA-512", "OAUTHBEARER"};

enum { MECHANISMS = sizeof tsh_sasl__names / sizeof *tsh_sasl__names };

struct tsh_login {
  atomic_int refs;
  pthread_mutex_t lock; /* of creds */
  tsh_creds *creds;
  pthread_mutex_t token_lock; /* of what follows; held while a command runs */
  tsh_secret *token;
  time_t token_renew; /* it is not handed out again from then on */
  time_t token_end;   /* 0: it does not say */
};

/* --- credentials --------------------------------------------------------- */

void tsh_creds__release(tsh_creds *creds) {
  if (!creds || atomic_fetch_sub(&creds->refs, 1) != 1)
    return;
  SSL_CTX_free(creds->tls);
  tsh_secret_free(creds->password);
  free(creds->user);
  for (char **arg = creds->command; arg && *arg; arg++)
    free(*arg);
  free(creds->command);
  free(creds);
}

static int find_mechanism(const char *name, sasl_mechanism *out, tsh_err *err) {
  for (int i = 0; i < MECHANISMS; i++)
    if (strcmp(name ? name : "", tsh_sasl__names[i]) == 0) {
      *out = (sasl_mechanism)i;
      return 0;
    }
  return tsh_err_set(err, TSH_INVALID, "wire", 0,
                     "no SASL mechanism '%s': use PLAIN, SCRAM-SHA-256, "
                     "SCRAM-SHA-512 or OAUTHBEARER",
                     name);
}

static int check(const tsh_login_spec *spec, sasl_mechanism mechanism,
                 tsh_err *err) {
  const char *missing = NULL;
  bool needs_user = mechanism == SASL_PLAIN || mechanism == SASL_SCRAM_256 ||
                    mechanism == SASL_SCRAM_512;
  if (needs_user && !spec->user)
    missing = "a user";
  else if (needs_user && !spec->password)
    missing = "a password";
  else if (mechanism == SASL_OAUTHBEARER &&
           !(spec->token_command && spec->token_command[0]))
    missing = "a token command";
  else if (!spec->cert != !spec->key)
    missing = spec->cert ? "the key of its certificate"
                         : "the certificate of its key";
  if (!missing)
    return 0;
  return tsh_err_set(err, TSH_INVALID, "wire", 0, "the login lacks %s",
                     missing);
}

static char **copy_command(char *const *command) {
  size_t count = 0;
  while (command[count])
    count++;
  char **copy = calloc(count + 1, sizeof *copy);
  for (size_t i = 0; copy && i < count; i++)
    if (!(copy[i] = strdup(command[i]))) {
      while (i-- > 0)
        free(copy[i]);
      free(copy);
      return NULL;
    }
  return copy;
}

static int fill(tsh_creds *creds, const tsh_login_spec *spec, tsh_err *err) {
  int status = find_mechanism(spec->mechanism, &creds->mechanism, err);
  if (status == 0)
    status = check(spec, creds->mechanism, err);
  if (status == 0 && spec->tls)
    status = tsh_tls__context(&creds->tls, spec, err);
  if (status == 0 && spec->password) {
    size_t length = strlen(spec->password);
    status = tsh_secret_new(&creds->password, length, err);
    if (status == 0) {
      memcpy(tsh_secret_bytes(creds->password), spec->password, length);
      tsh_secret_publish(creds->password);
    }
  }
  if (status != 0)
    return status;
  creds->any_host = spec->any_host;
  if ((spec->user && !(creds->user = strdup(spec->user))) ||
      (spec->token_command &&
       !(creds->command = copy_command(spec->token_command))))
    return tsh_err_set(err, TSH_NO_MEMORY, "wire", 0, "no memory for a login");
  return 0;
}

static tsh_creds *new_creds(const tsh_login_spec *spec, tsh_err *err) {
  tsh_creds *creds = calloc(1, sizeof *creds);
  if (!creds) {
    tsh_err_set(err, TSH_NO_MEMORY, "wire", 0, "no memory for a login");
    return NULL;
  }
  atomic_init(&creds->refs, 1);
  if (fill(creds, spec, err) == 0)
    return creds;
  tsh_creds__release(creds);
  return NULL;
}

/* --- logins -------------------------------------------------------------- */

int tsh_login_new(tsh_login **out, const tsh_login_spec *spec, tsh_err *err) {
  tsh_err why;
  tsh_creds *creds = new_creds(spec, &why);
  tsh_login *login = creds ? calloc(1, sizeof *login) : NULL;
  if (!login) {
    if (creds)
      tsh_err_set(&why, TSH_NO_MEMORY, "wire", 0, "no memory for a login");
    tsh_creds__release(creds);
    if (err)
      *err = why;
    return why.kind;
  }
  atomic_init(&login->refs, 1);
  pthread_mutex_init(&login->lock, NULL);
  pthread_mutex_init(&login->token_lock, NULL);
  login->creds = creds;
  *out = login;
  return 0;
}

int tsh_login_replace(tsh_login *login, const tsh_login_spec *spec,
                      tsh_err *err) {
  tsh_err why;
  tsh_creds *creds = new_creds(spec, &why);
  if (!creds) {
    if (err)
      *err = why;
    return why.kind;
  }
  pthread_mutex_lock(&login->lock);
  tsh_creds *before = login->creds;
  login->creds = creds;
  pthread_mutex_unlock(&login->lock);
  tsh_creds__release(before);
  return 0;
}

tsh_login *tsh_login_keep(tsh_login *login) {
  if (login)
    atomic_fetch_add(&login->refs, 1);
  return login;
}

void tsh_login_release(tsh_login *login) {
  if (!login || atomic_fetch_sub(&login->refs, 1) != 1)
    return;
  tsh_creds__release(login->creds);
  tsh_secret_free(login->token);
  pthread_mutex_destroy(&login->lock);
  pthread_mutex_destroy(&login->token_lock);
  free(login);
}

tsh_creds *tsh_login__creds(tsh_login *login) {
  pthread_mutex_lock(&login->lock);
  tsh_creds *creds = login->creds;
  atomic_fetch_add(&creds->refs, 1);
  pthread_mutex_unlock(&login->lock);
  return creds;
}

/* --- tokens -------------------------------------------------------------- */

static int copy_secret(tsh_secret *from, tsh_secret **out, tsh_err *err) {
  size_t length = tsh_secret_length(from);
  int status = tsh_secret_new(out, length, err);
  if (status != 0)
    return status;
  memcpy(tsh_secret_bytes(*out), tsh_secret_bytes(from), length);
  tsh_secret_publish(*out);
  return 0;
}

static int new_token(tsh_login *login, atomic_bool *abandoned, tsh_err *err) {
  long long life_ms;
  tsh_creds *creds = tsh_login__creds(login);
  tsh_secret_free(login->token);
  login->token = NULL;
  int status = creds->command ? tsh_token_fetch(creds->command, abandoned,
                                                &login->token, &life_ms, err)
                              : tsh_err_set(err, TSH_AUTH, "wire", 0,
                                            "the login has no token command");
  if (status == 0) {
    login->token_end = life_ms > 0 ? time(NULL) + life_ms / 1000 : 0;
    login->token_renew = life_ms > 0 ? time(NULL) + life_ms / 2000 : 0;
  }
  tsh_creds__release(creds);
  return status;
}

int tsh_login_token(tsh_login *login, atomic_bool *abandoned, tsh_secret **out,
                    long long *life_ms, tsh_err *err) {
  int status = 0;
  pthread_mutex_lock(&login->token_lock);
  if (!login->token || time(NULL) >= login->token_renew)
    status = new_token(login, abandoned, err);
  if (status == 0)
    status = copy_secret(login->token, out, err);
  *life_ms =
      login->token_end ? (long long)(login->token_end - time(NULL)) * 1000 : -1;
  pthread_mutex_unlock(&login->token_lock);
  return status;
}
