/* User ids (fansync/userid.h). */
#include "fansync/userid.h"

enum { LONGEST_USERID = 200 }; /* with what is put around it, it is a file's name */

bool userid_is_possible(struct slice s)
{
    if (s.n == 0 || s.n > LONGEST_USERID)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c < ' ' || c == 0x7f || c == '/' || c == '!')
            return false;
    }
    return true;
}

struct slice userid_plain(struct arena *a, struct slice s)
{
    if (s.n == 0 || !memchr(s.p, '^', s.n))
        return s;
    char *p = arena_alloc(a, s.n);
    for (size_t i = 0; i < s.n; i++)
        p[i] = s.p[i] == '^' ? '.' : s.p[i];
    return slice_of(p, s.n);
}
