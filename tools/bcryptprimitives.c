/* The one function of bcryptprimitives.dll that Rust's standard library uses for its random seeds; Wine 8 has no such
 * library. For tests under Wine only: it is no part of anything that is shipped. Made with what Wine does have. */
#include <windows.h>

/* Documented under the name RtlGenRandom. */
BOOLEAN NTAPI SystemFunction036(PVOID bytes, ULONG length);

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE bytes, SIZE_T length)
{
    const SIZE_T part = 1 << 20;
    for (SIZE_T done = 0; done < length; done += part) {
        SIZE_T rest = length - done;
        if (!SystemFunction036(bytes + done, (ULONG)(rest < part ? rest : part)))
            return FALSE;
    }
    return TRUE;
}
