//! Exports that say too little, too much, or something unknown.
use gatehouse_plugin_api::{Context, IntegrationGateway, Result, export_integration};

struct House;

impl IntegrationGateway for House {
    type Settings = ();

    fn new(_: Context) -> Self {
        Self
    }

    async fn start(&self, _: ()) -> Result<()> {
        Ok(())
    }
}

mod nothing {
    use super::*;

    export_integration! {}
}

mod gateway_alone {
    use super::*;

    export_integration! { gateway: House }
}

mod gateway_last {
    use super::*;

    export_integration! { id: "house", label: "House", gateway: House }
}

mod misspelt {
    use super::*;

    export_integration! { gateway: House, id: "house", label: "House", descripton: "A house." }
}

fn main() {}
