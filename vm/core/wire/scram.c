/* SCRAM, the client's half. */
#include "scram.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
  NONCE_BYTES = 24,
  LEAST_ROUNDS = 4096,   /* RFC 7677; fewer would be an easy guess */
  MOST_ROUNDS = 1 << 20, /* about a second: more is no broker we know */
  MOST_SALT = 1024
};

static int malformed(tsh_err *err, const char *what) {
  return tsh_err_set(err, TSH_PROTOCOL, "wire", 0, "SCRAM: the broker %s",
                     what);
}

int tsh_scram_init(tsh_scram *scram, bool sha512, const char *user,
                   const char *nonce, tsh_err *err) {
  unsigned char bytes[NONCE_BYTES];
  *scram = (tsh_scram){.sha512 = sha512};
  tsh_buf_init(&scram->first_bare, SCRAM_LONGEST);
  if (nonce && strlen(nonce) < sizeof scram->nonce)
    memcpy(scram->nonce, nonce, strlen(nonce) + 1);
  else if (RAND_bytes(bytes, sizeof bytes) == 1)
    EVP_EncodeBlock((unsigned char *)scram->nonce, bytes, sizeof bytes);
  else
    return tsh_err_set(err, TSH_IO, "wire", 0, "no random bytes");
  tsh_buf *out = &scram->first_bare;
  tsh_buf_add_string(out, "n=");
  for (; *user; user++)
    if (*user == '=')
      tsh_buf_add_string(out, "=3D");
    else if (*user == ',')
      tsh_buf_add_string(out, "=2C");
    else
      tsh_buf_add(out, user, 1);
  tsh_buf_format(out, ",r=%s", scram->nonce);
  if (!out->failed)
    return 0;
  return tsh_err_set(err, TSH_INVALID, "wire", 0,
                     "a user's name of such "
                     "length");
}

void tsh_scram_fini(tsh_scram *scram) {
  tsh_buf_fini(&scram->first_bare);
  OPENSSL_cleanse(scram, sizeof *scram);
}

void tsh_scram_first(const tsh_scram *scram, tsh_buf *out) {
  tsh_buf_add_string(out, "n,,"); /* no channel binding, no other identity */
  tsh_buf_add(out, scram->first_bare.data, scram->first_bare.length);
}

/* --- reading ------------------------------------------------------------- */

typedef struct piece {
  const char *at;
  size_t size;
} piece;

/* Takes "k=value" from the front of `in`, up to a comma or the end. */
static bool take(piece *in, char key, piece *out) {
  if (in->size < 2 || in->at[0] != key || in->at[1] != '=')
    return false;
  const char *value = in->at + 2, *end = in->at + in->size;
  const char *comma = memchr(value, ',', (size_t)(end - value));
  *out = (piece){value, (size_t)((comma ? comma : end) - value)};
  in->at = comma ? comma + 1 : end;
  in->size = (size_t)(end - in->at);
  return true;
}

/* Base64 with padding; the number of bytes, or -1. */
static int from_base64(piece text, unsigned char *out, size_t room) {
  if (text.size == 0 || text.size % 4 != 0 || text.size / 4 * 3 > room)
    return -1;
  int size =
      EVP_DecodeBlock(out, (const unsigned char *)text.at, (int)text.size);
  for (size_t i = 0; size > 0 && i < 2; i++)
    size -= text.at[text.size - 1 - i] == '=';
  return size;
}

static long read_rounds(piece text) {
  long rounds = 0;
  for (size_t i = 0; i < text.size; i++) {
    if (text.at[i] < '0' || text.at[i] > '9' || rounds > MOST_ROUNDS)
      return -1;
    rounds = 10 * rounds + text.at[i] - '0';
  }
  return rounds;
}

typedef struct challenge {
  piece nonce;
  unsigned char salt[MOST_SALT];
  int salt_size;
  long rounds;
} challenge;

static int read_challenge(const tsh_scram *scram, piece in, challenge *out,
                          tsh_err *err) {
  piece salt, rounds;
  size_t ours = strlen(scram->nonce);
  if (in.size > SCRAM_LONGEST || !take(&in, 'r', &out->nonce) ||
      !take(&in, 's', &salt) || !take(&in, 'i', &rounds))
    return malformed(err, "sent no challenge");
  if (out->nonce.size <= ours || memcmp(out->nonce.at, scram->nonce, ours) != 0)
    return malformed(err, "answers to another login");
  out->salt_size = from_base64(salt, out->salt, sizeof out->salt);
  if (out->salt_size <= 0)
    return malformed(err, "sent a salt that is none");
  out->rounds = read_rounds(rounds);
  if (out->rounds < LEAST_ROUNDS || out->rounds > MOST_ROUNDS)
    return malformed(err, "asks for a number of iterations that is out of "
                          "bounds (4096 to 1048576)");
  return 0;
}

/* --- proofs -------------------------------------------------------------- */

/* All of them secret but the proof; wiped as one. */
typedef struct keys {
  unsigned char salted[SCRAM_HASH_MOST], client[SCRAM_HASH_MOST],
      stored[SCRAM_HASH_MOST], server[SCRAM_HASH_MOST],
      signature[SCRAM_HASH_MOST], proof[SCRAM_HASH_MOST];
} keys;

static bool mac(const EVP_MD *md, const unsigned char *key, const void *data,
                size_t size, unsigned char *out) {
  return HMAC(md, key, EVP_MD_get_size(md), data, size, out, NULL) != NULL;
}

static bool derive(tsh_scram *scram, const challenge *asked, const char *secret,
                   size_t secret_size, const tsh_buf *message, keys *k) {
  const EVP_MD *md = scram->sha512 ? EVP_sha512() : EVP_sha256();
  int size = EVP_MD_get_size(md);
  bool ok =
      PKCS5_PBKDF2_HMAC(secret, (int)secret_size, asked->salt, asked->salt_size,
                        (int)asked->rounds, md, size, k->salted) == 1 &&
      mac(md, k->salted, "Client Key", 10, k->client) &&
      EVP_Digest(k->client, (size_t)size, k->stored, NULL, md, NULL) == 1 &&
      mac(md, k->stored, message->data, message->length, k->signature) &&
      mac(md, k->salted, "Server Key", 10, k->server) &&
      mac(md, k->server, message->data, message->length,
          scram->server_signature);
  for (int i = 0; i < size; i++)
    k->proof[i] = k->client[i] ^ k->signature[i];
  return ok;
}

int tsh_scram_final(tsh_scram *scram, const char *password,
                    size_t password_size, const char *server_first, size_t size,
                    tsh_buf *out, tsh_err *err) {
  challenge asked;
  keys k = {0};
  tsh_buf message;
  unsigned char proof[4 * SCRAM_HASH_MOST];
  int status = read_challenge(scram, (piece){server_first, size}, &asked, err);
  if (status != 0)
    return status;
  tsh_buf_init(&message, 4 * SCRAM_LONGEST);
  tsh_buf_format(&message, "%s,%.*s,c=biws,r=%.*s", scram->first_bare.data,
                 (int)size, server_first, (int)asked.nonce.size,
                 asked.nonce.at);
  if (!derive(scram, &asked, password, password_size, &message, &k))
    status = tsh_err_set(err, TSH_NO_MEMORY, "wire", 0, "SCRAM: no proof");
  EVP_EncodeBlock(proof, k.proof, scram->sha512 ? 64 : 32);
  tsh_buf_format(out, "c=biws,r=%.*s,p=%s", (int)asked.nonce.size,
                 asked.nonce.at, proof);
  tsh_buf_fini(&message);
  OPENSSL_cleanse(&k, sizeof k);
  return status;
}

int tsh_scram_verify(const tsh_scram *scram, const char *server_final,
                     size_t size, tsh_err *err) {
  unsigned char given[2 * SCRAM_HASH_MOST];
  int expected = scram->sha512 ? 64 : 32;
  piece in = {server_final, size}, value;
  if (take(&in, 'e', &value))
    return tsh_err_set(err, TSH_AUTH, "wire", 0, "SCRAM: refused: %.*s",
                       (int)(value.size < 64 ? value.size : 64), value.at);
  if (!take(&in, 'v', &value))
    return malformed(err, "sent no proof of its own");
  if (from_base64(value, given, sizeof given) != expected ||
      CRYPTO_memcmp(given, scram->server_signature, (size_t)expected) != 0)
    return tsh_err_set(err, TSH_AUTH, "wire", 0,
                       "SCRAM: the broker does not know the password itself: "
                       "it is not the one it seems to be");
  return 0;
}
