package dev.parallax.internal;

import dev.parallax.ErrorCode;
import dev.parallax.ParallaxException;
import dev.parallax.internal.bindings.Plx;
import java.io.IOException;
import java.net.URL;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * Finds, unpacks and loads the two native libraries: the core (libparallax.so) and ONNX Runtime.
 *
 * <p>Where they come from, first hit wins: the option, the system property, the platform jar. Jars are unpacked once
 * into a cache, see {@link LibraryCache}. The core is loaded once per process. ONNX Runtime is opened by the core,
 * privately, and from a copy with a name of its own, so that it does not meet the one that {@code ai.onnxruntime} may
 * load; see {@link SharedObject}. A library that the user names is taken as it is.
 *
 * <p>The resource folders are no Java packages ({@code native} is a reserved word), so modules do not encapsulate them
 * and class loaders find them on the class path and on the module path alike.
 */
public final class NativeLibrary {
    static final String CORE_PROPERTY = "parallax.library.path";
    static final String ORT_PROPERTY = "parallax.onnxruntime.path";
    private static final String CORE_FILE = "libparallax.so";
    private static final String ORT_FILE = "libonnxruntime.so";
    private static final String ORT_PRIVATE_FILE = "libonnxruntime-private.so";

    private static Path loaded;  // guarded by the class

    private NativeLibrary() {}

    /**
     * This machine as the platform jars name it.
     *
     * @return {@code linux-x86_64} or {@code linux-aarch64}
     * @throws ParallaxException LIBRARY on any other machine
     */
    public static String platform() {
        return platform(System.getProperty("os.name"), System.getProperty("os.arch"));
    }

    static String platform(String os, String arch) {
        if (os.equals("Linux")) {
            switch (arch) {
                case "amd64", "x86_64" -> {
                    return "linux-x86_64";
                }
                case "aarch64", "arm64" -> {
                    return "linux-aarch64";
                }
                default -> { }
            }
        }
        throw new ParallaxException(ErrorCode.LIBRARY,
                "Parallax runs on linux-x86_64 and linux-aarch64, not on " + os + " " + arch);
    }

    /**
     * Loads the core, unless it is loaded already, and checks that it speaks the version of the bindings.
     *
     * @param option the library or its folder; null = the property, or else the platform jar
     * @return the library in use
     * @throws ParallaxException NOT_FOUND or LIBRARY, naming option, property and path
     */
    public static synchronized Path load(Path option) {
        Path chosen = chosen(option, "EngineOptions.nativeLibrary", CORE_PROPERTY, CORE_FILE);
        if (loaded != null) {
            if (chosen != null && !same(chosen, loaded)) {
                throw new ParallaxException(ErrorCode.LIBRARY, "this process runs on " + loaded
                        + " already and cannot load " + chosen
                        + " as well; name the library before the first engine is made");
            }
            return loaded;
        }
        String platform = platform();
        Path library = chosen != null ? chosen : unpack("/native/" + platform + "/" + CORE_FILE, CORE_FILE, null,
                "put the jar parallax-native of classifier " + platform
                        + " on the class path or module path, or name a library with EngineOptions.nativeLibrary or -D"
                        + CORE_PROPERTY + "=FILE");
        open(library);
        checkVersion(library);
        loaded = library;
        return library;
    }

    /**
     * Finds the ONNX Runtime library; the core opens it.
     *
     * @param option the library; null = the property, or else the onnxruntime jar
     * @return an existing file
     * @throws ParallaxException NOT_FOUND or LIBRARY, naming option, property and path
     */
    public static Path ortLibrary(Path option) {
        Path chosen = chosen(option, "EngineOptions.ortLibrary", ORT_PROPERTY, ORT_FILE);
        if (chosen != null) {
            return chosen;
        }
        String folder = platform().equals("linux-aarch64") ? "linux-aarch64" : "linux-x64";
        return unpack("/ai/onnxruntime/native/" + folder + "/" + ORT_FILE, ORT_PRIVATE_FILE, SharedObject::makePrivate,
                "put the jar com.microsoft.onnxruntime:onnxruntime on the class path or module path, or name a library"
                        + " with EngineOptions.ortLibrary or -D" + ORT_PROPERTY + "=FILE");
    }

    /** What the user named, made a file; null if nothing was named. */
    static Path chosen(Path option, String optionName, String property, String file) {
        String named = System.getProperty(property);
        boolean byOption = option != null;
        if (!byOption && (named == null || named.isBlank())) {
            return null;
        }
        Path path = byOption ? option : Path.of(named);
        Path library = Files.isDirectory(path) ? path.resolve(file) : path;
        if (!Files.isRegularFile(library)) {
            throw new ParallaxException(ErrorCode.NOT_FOUND, "there is no library " + library + ", which "
                    + (byOption ? optionName : "-D" + property) + " names; give an existing file, or its folder");
        }
        return library.toAbsolutePath();
    }

    static Path unpack(String resource, String file, LibraryCache.Edit edit, String advice) {
        URL url = find(resource);
        if (url == null) {
            throw new ParallaxException(ErrorCode.LIBRARY,
                    "no library for " + platform() + ": there is no resource " + resource + "; " + advice);
        }
        return LibraryCache.standard().unpack(url, file, edit);
    }

    /** A resource by whichever loader knows it: our own, the thread's, the application's. */
    private static URL find(String resource) {
        URL url = NativeLibrary.class.getResource(resource);
        ClassLoader context = Thread.currentThread().getContextClassLoader();
        if (url == null && context != null) {
            url = context.getResource(resource.substring(1));
        }
        return url != null ? url : ClassLoader.getSystemResource(resource.substring(1));
    }

    private static void open(Path library) {
        try {
            System.load(library.toAbsolutePath().toString());
        } catch (IllegalCallerException e) {
            throw new ParallaxException(ErrorCode.LIBRARY, accessMessage(NativeLibrary.class.getModule()), e);
        } catch (UnsatisfiedLinkError e) {
            // What the dynamic linker says when the file system forbids execution.
            boolean noexec = e.getMessage().contains("failed to map segment");
            throw new ParallaxException(ErrorCode.LIBRARY, "cannot load " + library + " on " + platform() + ": "
                    + e.getMessage() + (noexec ? "; its file system seems to be mounted noexec: name another cache"
                            + " folder with -D" + LibraryCache.PROPERTY + "=DIR" : ""), e);
        }
    }

    static String accessMessage(Module module) {
        String name = module.isNamed() ? module.getName() : "ALL-UNNAMED";
        return "Java forbids native access to Parallax; start it with --enable-native-access=" + name;
    }

    private static void checkVersion(Path library) {
        int version;
        try {
            version = Plx.plx_abi_version();
        } catch (LinkageError e) {
            // The bindings look their symbols up when their classes are initialised, and JDK 22 and 23 ask for native
            // access only then.
            Throwable cause = e.getCause() != null ? e.getCause() : e;
            if (cause instanceof IllegalCallerException) {
                throw new ParallaxException(ErrorCode.LIBRARY, accessMessage(NativeLibrary.class.getModule()), e);
            }
            throw new ParallaxException(ErrorCode.LIBRARY,
                    library + " is not Parallax's core: " + cause.getMessage(), e);
        }
        if (version != Plx.PLX_ABI_VERSION()) {
            throw new ParallaxException(ErrorCode.LIBRARY, library + " speaks version " + version
                    + " of the C interface, but these Java classes speak " + Plx.PLX_ABI_VERSION()
                    + "; use the library and the jar of one release");
        }
    }

    private static boolean same(Path a, Path b) {
        try {
            return Files.isSameFile(a, b);
        } catch (IOException e) {
            return a.equals(b);
        }
    }
}
