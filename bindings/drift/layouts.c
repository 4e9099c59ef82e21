/*
 * What the C compiler makes of plx.h, printed for DriftTest to compare with the generated Java bindings.
 *
 * The names do not stand here: DriftTest reads them from the header and writes them to names.inc, one STRUCT, FIELD or
 * CONSTANT a line, so this file needs no change when the header changes, and a name that the compiler does not know is
 * a compile error. One line of tab-separated output each, numbers in bytes:
 *
 *   struct    NAME          sizeof   alignment
 *   field     STRUCT.NAME   offset   sizeof
 *   constant  NAME          value    sizeof
 */
#include "plx.h"

#include <stdio.h>

#define STRUCT(type) printf("struct\t%s\t%zu\t%zu\n", #type, sizeof(type), _Alignof(type));
#define FIELD(type, name) \
  printf("field\t%s.%s\t%zu\t%zu\n", #type, #name, offsetof(type, name), sizeof(((type*)0)->name));
/* Adding 0LL makes anything but an integer a compile error, by way of -Werror=format. */
#define CONSTANT(name) printf("constant\t%s\t%lld\t%zu\n", #name, (name) + 0LL, sizeof(name));

int main(void) {
#include "names.inc"
  return 0;
}
