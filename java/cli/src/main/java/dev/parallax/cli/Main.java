package dev.parallax.cli;

import dev.parallax.Parallax;
import dev.parallax.ParallaxException;
import dev.parallax.Versions;
import java.io.PrintStream;
import java.io.PrintWriter;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Help;
import picocli.CommandLine.IVersionProvider;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ScopeType;
import picocli.CommandLine.UnmatchedArgumentException;

/**
 * The command {@code plx}.
 *
 * <p>Exit status: 0 all is well; 1 the answer is no (engines differ, something needed is missing); 2 what was asked for
 * cannot be done, said in one line on standard error. A stack trace is shown with {@code --verbose} only.
 */
@Command(name = "plx", versionProvider = Main.VersionLines.class, mixinStandardHelpOptions = true,
        synopsisSubcommandLabel = "COMMAND",
        description = "Runs ONNX models in parallel pieces, and says what ran where, when and why.",
        footerHeading = "%nExamples:%n",
        footer = {"  plx demo                                   a real model, beside plain ONNX Runtime",
            "  plx plan model.onnx                        how the model is cut, and why",
            "  plx run model.onnx --shape ids=1x16        seeded inputs, outputs printed",
            "  plx compare model.onnx --units all         every cut against plain ONNX Runtime",
            "  plx memory model.onnx --svg memory.svg     what it takes, branch by branch, and a picture",
            "  plx bench model.onnx                       how fast it is, beside ONNX Runtime at its best",
            "  plx bench --suite paper DIR                the paper's tables for a folder of models",
            "  plx calibrate                              what the GPU and the CPU can do, for --offload auto",
            "  plx zoo fill DIR                           eight models to try it with",
            "  plx test                                   every test (from a clone of the project only)",
            "  plx fuzz --minutes 30                      made-up input for what plx reads (likewise)",
            "", "Exit status: 0 all is well, 1 the answer is no, 2 bad input or nothing could be done."})
public final class Main {
    static final int NO = 1;
    static final int BAD_INPUT = 2;

    @Option(names = "--verbose", scope = ScopeType.INHERIT, description = "Show stack traces of errors.")
    private boolean verbose;

    private Main() {}

    /**
     * Runs a command and ends the process with its status.
     *
     * @param args the command line
     */
    public static void main(String[] args) {
        System.exit(run(args, System.out, System.err));
    }

    /**
     * Runs a command.
     *
     * @param args the command line
     * @param out where reports go
     * @param err where errors go
     * @return the exit status
     */
    static int run(String[] args, PrintStream out, PrintStream err) {
        java.io.Console system = System.console();
        boolean terminal = err == System.err && system != null && system.isTerminal();
        PrintStream shown = new PrintableStream(out);
        PrintStream errors = new PrintableStream(err);
        Console console = new Console(shown, errors, terminal);
        Main main = new Main();
        CommandLine line = new CommandLine(main)
                .addSubcommand(new DemoCommand(console))
                .addSubcommand(new PlanCommand(console))
                .addSubcommand(new RunCommand(console))
                .addSubcommand(new CompareCommand(console))
                .addSubcommand(new MemoryCommand(console))
                .addSubcommand(new BenchCommand(console))
                .addSubcommand(new ZooCommand(console))
                .addSubcommand(new DoctorCommand(console))
                .addSubcommand(new CalibrateCommand(console))
                .addSubcommand(new TestCommand())
                .addSubcommand(new FuzzCommand())
                .setOut(new PrintWriter(out, true))
                .setErr(new PrintWriter(err, true))
                .setColorScheme(Help.defaultColorScheme(terminal ? Help.Ansi.AUTO : Help.Ansi.OFF))
                .setUsageHelpWidth(100)
                .setAbbreviatedSubcommandsAllowed(false)
                .setParameterExceptionHandler((e, _) -> wrongUsage(main, e, errors))
                .setExecutionExceptionHandler((e, _, _) -> failed(main, e, errors));
        try {
            return line.execute(args);
        } catch (Throwable e) {
            // Whatever it is, a person reads one line: memory that ran out, a damaged jar, a native library that will
            // not load.
            return failed(main, e, errors);
        } finally {
            shown.flush();
            errors.flush();
            out.flush();
            err.flush();
        }
    }

    private static int wrongUsage(Main main, ParameterException e, PrintStream err) {
        if (e.getCause() instanceof BadInputException bad) {
            return failed(main, bad, err);
        }
        CommandLine line = e.getCommandLine();
        String message = oneLine(e.getMessage());
        boolean unknownOption = e instanceof UnmatchedArgumentException u && u.isUnknownOption();
        if (!line.getSubcommands().isEmpty() && !unknownOption) {
            String commands = String.join(", ", line.getSubcommands().keySet());
            message = e instanceof UnmatchedArgumentException u
                    ? "there is no command " + u.getUnmatched().getFirst() + "; there are " + commands
                    : "a command is missing; there are " + commands;
        }
        err.println("plx: " + message + "; see " + line.getCommandSpec().qualifiedName() + " --help");
        if (main.verbose) {
            e.printStackTrace(err);
        }
        return BAD_INPUT;
    }

    private static int failed(Main main, Throwable e, PrintStream err) {
        String message = e.getMessage() == null ? e.getClass().getSimpleName() : oneLine(e.getMessage());
        switch (e) {
            case BadInputException _, ParallaxException _ -> err.println("plx: " + message);
            case OutOfMemoryError _ -> err.println("plx: not enough memory: " + message);
            default -> err.println("plx: " + e.getClass().getSimpleName() + ": " + message
                    + (main.verbose ? "" : "; --verbose shows where"));
        }
        if (main.verbose) {
            e.printStackTrace(err);
        }
        return BAD_INPUT;
    }

    private static String oneLine(String message) {
        return message.strip().replaceAll("\\s*\\R\\s*", " ");
    }

    /** Every version involved. */
    static final class VersionLines implements IVersionProvider {
        @Override
        public String[] getVersion() {
            Versions v = Parallax.version();
            return new String[] {
                "parallax " + v.parallax() + " (abi " + v.abi() + ", " + v.compiler() + ", " + v.platform() + ")",
                "onnxruntime " + v.onnxRuntime() + " (api " + v.ortApi() + ")",
                "java " + Runtime.version() + " (" + System.getProperty("java.vendor") + ")"};
        }
    }
}
