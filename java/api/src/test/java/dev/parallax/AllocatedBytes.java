package dev.parallax;

import java.lang.reflect.Method;

/** Counts what the current thread allocates on the Java heap. By reflection: the module needs no jdk.management. */
final class AllocatedBytes {
    private static final Object BEAN;
    private static final Method COUNT;

    static {
        try {
            BEAN = Class.forName("java.lang.management.ManagementFactory").getMethod("getThreadMXBean").invoke(null);
            COUNT = Class.forName("com.sun.management.ThreadMXBean").getMethod("getCurrentThreadAllocatedBytes");
            for (int i = 0; i < 1000; i++) {
                COUNT.invoke(BEAN);  // reflection spins classes for what is called often; not while measuring
            }
        } catch (ReflectiveOperationException e) {
            throw new ExceptionInInitializerError(e);
        }
    }

    private AllocatedBytes() {}

    /** The bytes allocated by an action, less what counting itself allocates. */
    static long of(Runnable action) throws ReflectiveOperationException {
        long empty = between(() -> { });
        return between(action) - empty;
    }

    private static long between(Runnable action) throws ReflectiveOperationException {
        long before = (long) COUNT.invoke(BEAN);
        action.run();
        return (long) COUNT.invoke(BEAN) - before;
    }
}
