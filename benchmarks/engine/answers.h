/* What both programs that answer one picture several times share. */
#include <stdio.h>
#include <stdlib.h>

static void fail(const char* reason) {
  fprintf(stderr, "%s\n", reason);
  exit(2);
}

/* A file that holds the bytes of an RGB picture, rows from the top, and nothing else. */
static unsigned char* read_pixels(const char* path, size_t bytes) {
  FILE* file = fopen(path, "rb");
  unsigned char* pixels = malloc(bytes);
  if (!file || !pixels || fread(pixels, 1, bytes, file) != bytes) fail("the picture cannot be read");
  if (fgetc(file) != EOF) fail("the picture has another size");
  fclose(file);
  return pixels;
}

static void print_best(const float* logits, size_t classes, const char* kernels) {
  size_t best = 0;
  for (size_t i = 1; i < classes; ++i)
    if (logits[i] > logits[best]) best = i;
  printf("%zu %.4f %s\n", best, logits[best], kernels);
}
