/* Base64 by OpenSSL. */
#include "tranship/base64.h"

#include <openssl/evp.h>
#include <string.h>

bool tsh_base64_decode(const char *text, tsh_buf *out) {
  EVP_ENCODE_CTX *context = EVP_ENCODE_CTX_new();
  size_t length = strlen(text);
  int used = 0, more = 0, rc = -1;
  char *room;

  EVP_DecodeInit(context);
  room = tsh_buf_reserve(out, length + 64);
  if (room != NULL &&
      EVP_DecodeUpdate(context, (unsigned char *)room, &used,
                       (const unsigned char *)text, (int)length) >= 0)
    rc = EVP_DecodeFinal(context, (unsigned char *)room + used, &more);
  EVP_ENCODE_CTX_free(context);
  if (rc < 0)
    return false;
  out->length += (size_t)(used + more);
  out->data[out->length] = '\0';
  return true;
}

void tsh_base64_encode(const char *bytes, size_t length, tsh_buf *out) {
  char *room = tsh_buf_reserve(out, 4 * ((length + 2) / 3) + 1);

  if (room == NULL)
    return;
  out->length += (size_t)EVP_EncodeBlock(
      (unsigned char *)room, (const unsigned char *)bytes, (int)length);
  out->data[out->length] = '\0';
}
