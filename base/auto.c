#include "base/auto.h"

#include <unistd.h>

void
auto_close(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
}
