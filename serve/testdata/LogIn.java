import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.util.Properties;

// LogIn enters with a credential from the environment as the password, and asks often enough that the driver prepares its statement on the server.
public class LogIn {
    public static void main(String[] args) throws Exception {
        Properties p = new Properties();
        p.setProperty("user", args[1]);
        p.setProperty("password", System.getenv("CREDENTIAL"));
        p.setProperty("sslmode", "verify-full");
        p.setProperty("sslrootcert", args[2]);
        try (Connection c = DriverManager.getConnection(args[0], p)) {
            c.setAutoCommit(false);
            try (PreparedStatement s = c.prepareStatement("SELECT 'in as ' || session_user || ' ' || ?::int")) {
                for (int i = 0; i < 8; i++) {
                    s.setInt(1, i);
                    try (ResultSet r = s.executeQuery()) {
                        r.next();
                        System.out.println(r.getString(1));
                    }
                }
            }
            c.commit();
        }
    }
}
